//! The members around the choices, of a body or a chunk.

use bytes::Bytes;

use super::{
    api::Api,
    choice::{self, Place},
    completions,
    reasoning::Reasoning,
    repairs::{Repair, Repairs},
    usage,
};
use crate::wire::json::{Index, Kind, Value};

/// What is the same for all of an answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// For an answer that has none.
    pub(super) id: String,
    /// Seconds since the epoch.
    pub(super) created: u64,
    pub(super) model: String,
    /// Whether OpenAI itself answers, whose own habits are no deviations.
    pub(super) openai: bool,
    pub(super) api: Api,
    pub(super) reasoning: Reasoning,
}

/// `text`, a whole body or a chunk, as OpenAI would have sent it; `None` where it is so already, or is no answer.
pub(super) fn repaired(
    text: &[u8],
    answer: &Answer,
    place: &mut Place<'_>,
    repairs: &mut Repairs,
) -> Option<Bytes> {
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    let choices = members
        .get("choices")
        .filter(|choices| choices.kind() == Kind::Array)?;
    let mut edit = members.edit();
    let is_text = |name| {
        let text = members.get(name).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    };
    if !is_text("id") {
        edit.set("id", answer.id.as_str());
        repairs.add(Repair::Id);
    }
    let object = answer.api.object(place.is_chunk());
    if members.get("object").and_then(Value::as_str).as_deref() != Some(object) {
        edit.set("object", object);
        repairs.add(Repair::Object);
    }
    let created = members.get("created").and_then(Value::as_u64);
    // A zero beside an empty id, as in Azure's first chunk, is a placeholder too.
    if created.is_none_or(|created| created == 0 && !is_text("id")) {
        edit.set("created", answer.created);
        repairs.add(Repair::Created);
    }
    if !is_text("model") {
        edit.set("model", answer.model.as_str());
        repairs.add(Repair::Model);
    }
    if let Some(tier) = members.get("service_tier").filter(|tier| !tier.is_null())
        && tier.as_str().is_none_or(|tier| !TIERS.contains(&&*tier))
    {
        edit.set("service_tier", "default");
        repairs.add(Repair::Extra);
    }
    if let Some(usage) = members.get("usage")
        && let Some(usage) = usage::repaired(usage)
    {
        edit.set("usage", usage);
        repairs.add(Repair::Usage);
    }
    // What says something is an error, which never comes here.
    for name in ["error", "error_message"] {
        if members.get(name).is_some_and(|error| !error.is_null()) {
            edit.remove(name);
            repairs.add(Repair::Placeholder);
        }
    }
    let choices = choice::each(choices.raw(), |at, raw| {
        repairs.in_choice(Some(at));
        if answer.api == Api::Completions {
            completions::repaired(raw, at, answer, place, repairs)
        } else {
            choice::repaired(raw, at, answer, place, repairs)
        }
    });
    repairs.in_choice(None);
    if let Some(choices) = choices {
        edit.set("choices", choices);
    }
    edit.is_changed().then(|| edit.into_text())
}

/// The service tiers that OpenAI has.
pub(super) const TIERS: [&str; 6] = ["auto", "default", "flex", "scale", "priority", "fast"];

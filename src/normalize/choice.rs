//! One choice, its message or its delta.

use serde_json::{json, value::RawValue};

use super::{
    choices::{Choice, Choices},
    conform::is_hollow,
    finish::{self, Finish},
    head::Answer,
    reasoning,
    repairs::{Repair, Repairs},
    tool_calls, usage,
};
use crate::wire::json::{Edit, Index, Kind, Members, Value};

/// Where the choices stand.
pub(super) enum Place<'a> {
    Body,
    Chunk(&'a mut Choices),
}

impl Place<'_> {
    pub(super) fn is_chunk(&self) -> bool {
        matches!(self, Self::Chunk(_))
    }

    /// What the stream has said of a choice; `None` in a body, and where there are too many to remember.
    pub(super) fn choice(&mut self, number: u64) -> Option<&mut Choice> {
        match self {
            Self::Chunk(choices) => choices.get_mut(number),
            Self::Body => None,
        }
    }
}

/// A choice as OpenAI would have sent it; `None` where it is so already, or is no object. `at` is its place in the list.
pub(super) fn repaired(
    raw: &[u8],
    at: usize,
    answer: &Answer,
    place: &mut Place<'_>,
    repairs: &mut Repairs,
) -> Option<String> {
    let index = Index::parse(raw).ok()?;
    let members = index.members(raw);
    let mut edit = members.edit();
    let stated = members.get("index").and_then(Value::as_u64);
    let number = stated.unwrap_or(at as u64);
    if stated.is_none() {
        edit.set("index", number);
        repairs.add(Repair::Index);
    }
    let usage = members
        .get("usage")
        .filter(|usage| usage.kind() == Kind::Object);
    if let (Place::Chunk(choices), Some(usage)) = (&mut *place, usage) {
        choices.usage = usage::repaired(usage).or_else(|| usage.deserialize().ok());
        edit.remove("usage");
        repairs.add(Repair::UsagePlace);
    }
    let mut own = Choice::default();
    let in_stream = place.is_chunk();
    let remembered = place.choice(number);
    let word = members.get("finish_reason").and_then(Value::as_str);
    let ends = remembered.is_none() || word.as_deref().is_some_and(|word| !word.is_empty());
    let seen = remembered.unwrap_or(&mut own);
    let (right, wrong) = if in_stream {
        ("delta", "message")
    } else {
        ("message", "delta")
    };
    let object = |name| {
        members
            .get(name)
            .filter(|value: &Value<'_>| value.kind() == Kind::Object)
    };
    // A whole message in a chunk repeats what the chunks before it said.
    let said = object(right).or_else(|| object(wrong).filter(|_| !in_stream));
    let is_misplaced = object(right).is_none();
    if let Some(said) = said {
        match message(said.raw(), in_stream, ends, answer, seen, repairs) {
            Some(repaired) => edit.set(right, repaired),
            None => edit.set(right, said),
        };
    } else if in_stream {
        edit.set(right, seen.held().unwrap_or_else(|| json!({})));
    } else {
        let silent = json!({"role": "assistant", "content": null, "refusal": null});
        edit.set(right, silent);
    }
    if edit.remove(wrong) || is_misplaced {
        repairs.add(Repair::MessageAndDelta);
    }
    // What says something is an error, which never comes here.
    if members.get("error").is_some_and(|error| !error.is_null()) {
        edit.remove("error");
        repairs.add(Repair::Placeholder);
    }
    logprobs(members, in_stream, answer, &mut edit, repairs);
    if in_stream && word.as_deref().is_none_or(str::is_empty) {
        if members
            .get("finish_reason")
            .is_none_or(|word| !word.is_null())
        {
            edit.set("finish_reason", serde_json::Value::Null);
            repairs.add(Repair::FinishReason);
        }
        return edited(edit);
    }
    match finish::reason(word.as_deref(), seen.tools > 0, answer.openai, repairs) {
        Finish::Reason(reason) => {
            seen.finished = true;
            edit.set("finish_reason", reason);
        }
        // What was said until then is the caller's; the error that follows says the rest.
        Finish::Failed(failure) => {
            edit.set("finish_reason", serde_json::Value::Null);
            repairs.fail(failure);
        }
    }
    edited(edit)
}

fn logprobs(
    members: Members<'_>,
    in_stream: bool,
    answer: &Answer,
    edit: &mut Edit<'_>,
    repairs: &mut Repairs,
) {
    let null = serde_json::Value::Null;
    match members.get("logprobs") {
        Some(stated) if stated.kind() == Kind::Object => {
            let Ok(index) = Index::parse(stated.raw()) else {
                return;
            };
            let mut whole = index.members(stated.raw()).edit();
            for name in ["content", "refusal"] {
                if !whole.contains(name) {
                    whole.set(name, null.clone());
                }
            }
            if let Some(whole) = edited(whole) {
                edit.set("logprobs", RawValue::from_string(whole).unwrap_or_default());
                repairs.add(Repair::Logprobs);
            }
        }
        Some(stated) if stated.is_null() => {}
        None if in_stream || answer.openai => {}
        _ => {
            edit.set("logprobs", null);
            repairs.add(Repair::Logprobs);
        }
    }
}

fn message(
    raw: &[u8],
    in_stream: bool,
    ends: bool,
    answer: &Answer,
    seen: &mut Choice,
    repairs: &mut Repairs,
) -> Option<Box<RawValue>> {
    let index = Index::parse(raw).ok()?;
    let members = index.members(raw);
    let mut edit = members.edit();
    let role = members.get("role");
    let is_role = role.and_then(Value::as_str).as_deref() == Some("assistant");
    if !is_role && (!in_stream || role.is_some()) {
        repairs.add(Repair::Role);
        if in_stream {
            edit.remove("role");
        } else {
            edit.set("role", "assistant");
        }
    }
    let null = serde_json::Value::Null;
    let (mode, think) = (answer.reasoning, &mut seen.think);
    reasoning::place(members, mode, think, ends, &mut edit, repairs);
    if !in_stream && !edit.contains("content") {
        edit.set("content", null.clone());
        repairs.add(Repair::Content);
    }
    if !in_stream && !answer.openai && !members.contains("refusal") {
        edit.set("refusal", null);
        repairs.add(Repair::Refusal);
    }
    for name in ["tool_calls", "function_call", "annotations"] {
        if members.get(name).is_some_and(is_hollow) {
            edit.remove(name);
            repairs.add(Repair::Placeholder);
        }
    }
    if members
        .get("audio")
        .is_some_and(|audio| audio.raw() == b"{}")
    {
        edit.remove("audio");
        repairs.add(Repair::Placeholder);
    }
    if let Some(annotations) = members.get("annotations")
        && let Ok(all) = annotations.deserialize::<Vec<serde_json::Value>>()
    {
        // OpenAI has no other kind.
        let is_citation = |annotation: &&serde_json::Value| annotation["url_citation"].is_object();
        let kept: Vec<_> = all.iter().filter(is_citation).cloned().collect();
        if kept.len() < all.len() {
            edit.set("annotations", serde_json::Value::from(kept));
            repairs.add(Repair::Extra);
        }
    }
    if let Some(calls) = members.get("tool_calls")
        && let Some(calls) =
            tool_calls::repaired(calls.raw(), in_stream, &answer.id, &mut seen.tools, repairs)
    {
        edit.set("tool_calls", calls);
    }
    edit.is_changed()
        .then(|| serde_json::from_slice(&edit.into_text()).ok())
        .flatten()
}

/// A list with the items that `edit` changes; `None` where it changes none.
pub(super) fn each(
    raw: &[u8],
    mut edit: impl FnMut(usize, &[u8]) -> Option<String>,
) -> Option<Box<RawValue>> {
    let items: Vec<&RawValue> = serde_json::from_slice(raw).ok()?;
    let mut changed = false;
    let mut list = String::from("[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            list.push(',');
        }
        match edit(at, item.get().as_bytes()) {
            Some(edited) => {
                changed = true;
                list.push_str(&edited);
            }
            None => list.push_str(item.get()),
        }
    }
    list.push(']');
    changed.then(|| RawValue::from_string(list).ok()).flatten()
}

/// What `edit` makes, if it changes anything.
pub(super) fn edited(edit: Edit<'_>) -> Option<String> {
    edit.is_changed()
        .then(|| String::from_utf8(edit.into_text().into()).ok())
        .flatten()
}

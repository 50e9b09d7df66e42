//! One choice, its message or its delta.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    finish::{self, Finish},
    head::Answer,
    reasoning,
    repairs::{Repair, Repairs},
    think::{Parts, ThinkSplitter},
    tool_calls,
};
use crate::wire::json::{Edit, Index, Kind, Members, Value};

/// The most choices of a stream that are remembered.
const MAX_CHOICES: usize = 1024;

/// What a stream has said of its choices so far, by their index.
pub(super) type Choices = BTreeMap<u64, Choice>;

#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Tool calls that have begun.
    tools: u64,
    pub(super) finished: bool,
    pub(super) think: ThinkSplitter,
}

impl Choice {
    /// A delta of what was held back, where anything was.
    pub(super) fn held(&mut self) -> Option<serde_json::Value> {
        if !self.think.is_holding() {
            return None;
        }
        let mut parts = Parts::default();
        self.think.finish(&mut parts);
        Some(if parts.text.is_empty() {
            serde_json::json!({"reasoning_content": parts.reasoning})
        } else {
            serde_json::json!({"content": parts.text})
        })
    }
}

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
            Self::Chunk(choices)
                if choices.len() < MAX_CHOICES || choices.contains_key(&number) =>
            {
                Some(choices.entry(number).or_default())
            }
            _ => None,
        }
    }
}

#[expect(
    clippy::single_match_else,
    reason = "what is said, and what stands for it, read as two cases"
)]
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
    match members
        .get(right)
        .filter(|value| value.kind() == Kind::Object)
    {
        Some(said) => {
            if let Some(said) = message(said.raw(), in_stream, ends, answer, seen, repairs) {
                edit.set(right, said);
            }
            if edit.remove(wrong) {
                repairs.add(Repair::MessageAndDelta);
            }
        }
        None => {
            let empty = if in_stream {
                seen.held().unwrap_or_else(|| serde_json::json!({}))
            } else {
                serde_json::json!({"role": "assistant", "content": null, "refusal": null})
            };
            edit.set(right, empty);
            repairs.add(Repair::MessageAndDelta);
        }
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
    seen.finished = true;
    // A failure keeps its word: none of OpenAI's says so.
    if let Finish::Reason(reason) =
        finish::reason(word.as_deref(), seen.tools > 0, answer.openai, repairs)
        && word.as_deref() != Some(reason)
    {
        edit.set("finish_reason", reason);
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
        let hollow = |value: Value<'_>| {
            value.is_null() || (value.kind() == Kind::Object && value.raw().len() == 2)
        };
        if members.get(name).is_some_and(hollow) {
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
        .then(|| serde_json::from_slice(&edit.finish().0).ok())
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
        .then(|| String::from_utf8(edit.finish().0.into()).ok())
        .flatten()
}

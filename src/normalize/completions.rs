//! One choice of a text completion, whole or of a chunk.

use super::{
    choice::{Place, edited},
    choices::Choice,
    finish::{self, Finish},
    head::Answer,
    repairs::{Repair, Repairs},
};
use crate::wire::json::{Index, Kind, Members, Value};

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
    let seen = place.choice(number).unwrap_or(&mut own);
    if members
        .get("text")
        .is_none_or(|text| text.kind() != Kind::String)
    {
        edit.set("text", &*said(members));
        repairs.add(Repair::Content);
    }
    for other in ["message", "delta"] {
        if edit.remove(other) {
            repairs.add(Repair::MessageAndDelta);
        }
    }
    if !members.contains("logprobs") {
        edit.set("logprobs", serde_json::Value::Null);
        repairs.add(Repair::Logprobs);
    }
    let word = members.get("finish_reason").and_then(Value::as_str);
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
    match finish::reason(word.as_deref(), false, answer.openai, repairs) {
        Finish::Reason(reason) => {
            // Text calls no tools.
            let reason = match reason {
                finish::TOOL_CALLS | "function_call" => finish::STOP,
                reason => reason,
            };
            seen.finished = true;
            if word.as_deref() != Some(reason) {
                edit.set("finish_reason", reason);
                repairs.add(Repair::FinishReason);
            }
        }
        // What was said until then is the caller's; the error that follows says the rest.
        Finish::Failed(failure) => {
            edit.set("finish_reason", serde_json::Value::Null);
            repairs.fail(failure);
        }
    }
    edited(edit)
}

/// The text of a choice that has none of its own: that of a chat's message.
fn said(members: Members<'_>) -> String {
    let message = members.get("message").or_else(|| members.get("delta"));
    let text = message.and_then(|message| {
        let index = Index::parse(message.raw()).ok()?;
        let content = index.members(message.raw()).get("content")?;
        content.as_str().map(std::borrow::Cow::into_owned)
    });
    text.unwrap_or_default()
}

//! Deviations that several providers share.

use serde_json::{Value, json};

use super::super::{
    answer::{Answer, Content},
    edit,
    reply::{Event, Stream},
};

/// What a model that thinks is said to have thought: as many tokens as words.
pub(super) const THOUGHT: &str = "The user wants an echo.";
pub(super) const THOUGHT_TOKENS: u64 = 5;

/// Moves the usage to the last chunk that has a choice, whether it was asked for or not.
pub(super) fn usage_on_the_last_choice(stream: &mut Stream, usage: Value) {
    stream.forget_usage();
    if let Some(finish) = stream.finish() {
        edit::set(finish, "usage", usage);
    }
}

/// Leaves `finish_reason` out where it is null, and `logprobs` everywhere.
pub(super) fn leave_out_nulls(chunk: &mut Value) {
    for choice in edit::choices(chunk) {
        edit::unset(choice, "logprobs");
        if choice.get("finish_reason").is_some_and(Value::is_null) {
            edit::unset(choice, "finish_reason");
        }
    }
}

/// Sends each tool call in one delta.
pub(super) fn whole_tool_calls(answer: &Answer, stream: &mut Stream) {
    let fragment = |chunk: &mut Value| edit::tool_calls(chunk).any(|call| call.get("id").is_none());
    stream.events.retain_mut(|event| match event {
        Event::Data(chunk) => !fragment(chunk),
        _ => true,
    });
    for chunk in stream.chunks() {
        for choice in edit::choices(chunk) {
            let index = choice
                .get("index")
                .and_then(Value::as_u64)
                .and_then(|index| usize::try_from(index).ok());
            let answered = index.and_then(|index| answer.choices.get(index));
            let Some(Content::Call(call)) = answered.map(|choice| &choice.content) else {
                continue;
            };
            let calls = choice
                .get_mut("delta")
                .into_iter()
                .flat_map(|delta| edit::items(delta, "tool_calls"));
            for fragment in calls {
                edit::set(
                    fragment,
                    "function",
                    json!({"name": call.name, "arguments": call.arguments.concat()}),
                );
            }
        }
    }
}

/// Adds tokens to a member of a usage.
pub(super) fn add(usage: &mut Value, member: &str, tokens: u64) {
    let sum = usage
        .get(member)
        .and_then(Value::as_u64)
        .unwrap_or(0)
        .saturating_add(tokens);
    edit::set(usage, member, sum);
}

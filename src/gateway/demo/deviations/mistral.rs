//! Mistral, whose content is a list.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{
    answer::Answer,
    edit,
    failure::Failure,
    fields::Fields,
    reply::{Json, Stream},
};
use super::parts::{self, THOUGHT};

const EXTRA_FORBIDDEN: &str = "extra_forbidden";

pub(super) fn refuse(fields: Fields<'_>) -> Option<Failure> {
    fields.get("stream_options").map(|_| Failure {
        code: Some(EXTRA_FORBIDDEN),
        param: Some("stream_options"),
        ..Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Extra inputs are not permitted",
        )
    })
}

fn usage(answer: &Answer) -> Value {
    let mut usage = answer.usage();
    edit::unset(&mut usage, "completion_tokens_details");
    edit::set(
        &mut usage,
        "prompt_tokens_details",
        json!({"cached_tokens": 0}),
    );
    edit::set(&mut usage, "num_cached_tokens", 0);
    edit::set(&mut usage, "service_tier", "standard");
    usage
}

fn thinking(text: &str) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": true})
}

pub(super) fn completion(answer: &Answer, json: &mut Json) {
    edit::set(&mut json.value, "usage", usage(answer));
    for message in edit::messages(&mut json.value) {
        match edit::unset(message, "content") {
            Some(Value::String(text)) => {
                edit::set(
                    message,
                    "content",
                    json!([thinking(THOUGHT), {"type": "text", "text": text}]),
                );
                edit::set(message, "tool_calls", Value::Null);
            }
            _ => edit::set(message, "content", ""),
        }
        edit::unset(message, "refusal");
    }
    tool_calls(&mut json.value);
}

pub(super) fn stream(answer: &Answer, stream: &mut Stream) {
    parts::whole_tool_calls(answer, stream);
    parts::usage_on_the_last_choice(stream, usage(answer));
    let mut length = 0;
    for chunk in stream.chunks() {
        for delta in edit::messages(chunk) {
            edit::unset(delta, "refusal");
            match edit::unset(delta, "content") {
                Some(Value::String(text)) if text.is_empty() => {
                    edit::set(delta, "content", json!([thinking(THOUGHT)]));
                }
                Some(Value::String(text)) => edit::set(delta, "content", text),
                _ => edit::set(delta, "content", ""),
            }
        }
        tool_calls(chunk);
        // Padding hides the length of a token from whoever watches the encrypted stream.
        length = (length + 7) % 26;
        edit::set(
            chunk,
            "p",
            "abcdefghijklmnopqrstuvwxyz"
                .get(..length)
                .unwrap_or_default(),
        );
    }
}

fn tool_calls(value: &mut Value) {
    for (index, call) in edit::tool_calls(value).enumerate() {
        edit::set(call, "index", index);
        edit::unset(call, "type");
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        let last: String = id.chars().rev().take(9).collect();
        edit::set(call, "id", last);
    }
}

pub(super) fn error(failure: &Failure, json: &mut Json) {
    let status = json.status.as_u16();
    json.value = if failure.code == Some(EXTRA_FORBIDDEN) {
        let detail = json!({
            "type": EXTRA_FORBIDDEN, "loc": ["body", failure.param], "msg": failure.message,
        });
        json!({"object": "error", "message": {"detail": [detail]}, "type": failure.kind, "param": null, "code": null, "raw_status_code": status})
    } else if failure.status == StatusCode::UNAUTHORIZED {
        json!({"detail": "Unauthorized"})
    } else {
        let message = failure.overflow.map_or_else(
            || failure.message.clone(),
            |overflow| format!(
                "Prompt contains {} tokens and 0 draft tokens, too large for model with {} maximum context length",
                overflow.prompt, overflow.window
            ),
        );
        json!({
            "object": "error", "message": message, "type": failure.kind, "param": failure.param,
            "code": failure.code, "raw_status_code": status,
        })
    };
}

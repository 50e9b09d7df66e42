//! Services that sell speed: Groq, Cerebras.

use serde_json::{Value, json};

use super::super::{
    answer::Answer,
    edit,
    failure::Failure,
    reply::{Event, Json, Stream},
};
use super::parts;

/// How many events of a stream come before the failed tool call.
const EVENTS_BEFORE_TOOL_ERROR: usize = 2;

fn groq_usage(answer: &Answer) -> Value {
    let mut usage = answer.usage();
    for (name, seconds) in [
        ("queue_time", 0.0125),
        ("prompt_time", 0.0025),
        ("completion_time", 0.05),
        ("total_time", 0.0525),
    ] {
        edit::set(&mut usage, name, seconds);
    }
    usage
}

fn groq_id(answer: &Answer) -> String {
    answer.id.replacen("chatcmpl-", "req_", 1)
}

pub(super) fn groq_completion(answer: &Answer, json: &mut Json) {
    edit::set(&mut json.value, "x_groq", json!({"id": groq_id(answer)}));
    edit::set(&mut json.value, "usage", groq_usage(answer));
    edit::set(&mut json.value, "usage_breakdown", Value::Null);
}

pub(super) fn groq_stream(answer: &Answer, stream: &mut Stream) {
    for chunk in stream.chunks().filter(|chunk| edit::has_choices(chunk)) {
        edit::unset(chunk, "usage");
    }
    for chunk in stream.chunks().filter(|chunk| !edit::has_choices(chunk)) {
        edit::set(chunk, "usage", groq_usage(answer));
    }
    if let Some(finish) = stream.finish() {
        edit::set(
            finish,
            "x_groq",
            json!({"id": groq_id(answer), "usage": groq_usage(answer)}),
        );
        edit::set(finish, "usage", groq_usage(answer));
    }
    if let Some(first) = stream.chunks().next() {
        edit::set(first, "x_groq", json!({"id": groq_id(answer)}));
    }
}

pub(super) fn groq_tool_error(answer: &Answer, stream: &mut Stream) {
    groq_stream(answer, stream);
    stream.events.truncate(EVENTS_BEFORE_TOOL_ERROR);
    stream.events.push(tool_use_failed(
        "Failed to call a function. Please adjust your prompt.",
    ));
}

pub(super) fn groq_error(failure: &Failure, json: &mut Json) {
    json.value =
        json!({"error": {"message": failure.message, "type": failure.kind, "code": failure.code}});
}

pub(super) fn groq_error_event(failure: &Failure, _: Value) -> Event {
    tool_use_failed(&failure.message)
}

fn tool_use_failed(message: &str) -> Event {
    Event::Named(
        "error",
        json!({"error": {
            "message": message,
            "type": "invalid_request_error",
            "code": "tool_use_failed",
            "failed_generation": "<function=",
            "status_code": 400,
        }}),
    )
}

fn cerebras_mark(value: &mut Value) {
    let times = json!({"queue_time": 0.0002, "prompt_time": 0.002, "completion_time": 0.04, "total_time": 0.045});
    edit::set(value, "time_info", times);
}

fn cerebras_usage(answer: &Answer) -> Value {
    let mut usage = answer.usage();
    edit::unset(&mut usage, "completion_tokens_details");
    edit::set(
        &mut usage,
        "prompt_tokens_details",
        json!({"cached_tokens": 0}),
    );
    usage
}

pub(super) fn cerebras_completion(answer: &Answer, json: &mut Json) {
    cerebras_mark(&mut json.value);
    edit::set(&mut json.value, "usage", cerebras_usage(answer));
    edit::messages(&mut json.value).for_each(|message| drop(edit::unset(message, "refusal")));
}

pub(super) fn cerebras_stream(answer: &Answer, stream: &mut Stream) {
    parts::whole_tool_calls(answer, stream);
    parts::usage_on_the_last_choice(stream, cerebras_usage(answer));
    stream.forget_done();
    stream.chunks().for_each(parts::leave_out_nulls);
    if let Some(finish) = stream.finish() {
        cerebras_mark(finish);
    }
}

pub(super) fn cerebras_error(failure: &Failure, json: &mut Json) {
    if let Some(overflow) = failure.overflow {
        let message = format!(
            "Please reduce the length of the messages or completion. Current length is {} while limit is {}",
            overflow.prompt, overflow.window
        );
        json.value = json!({
            "message": message, "type": failure.kind, "param": failure.param, "code": failure.code,
        });
    }
}

//! Those who serve open models: Together, Z.AI, Ollama, LM Studio.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{
    answer::Answer,
    edit,
    failure::Failure,
    reply::{Json, Stream},
};
use super::parts;

fn together_mark(value: &mut Value) {
    for choice in edit::choices(value) {
        if choice
            .get("finish_reason")
            .is_some_and(|reason| reason == "stop")
        {
            edit::set(choice, "finish_reason", "eos");
        }
    }
}

pub(super) fn together_completion(_: &Answer, json: &mut Json) {
    together_mark(&mut json.value);
    edit::set(&mut json.value, "prompt", json!([]));
}

pub(super) fn together_stream(_: &Answer, stream: &mut Stream) {
    stream.chunks().for_each(together_mark);
}

pub(super) fn together_error(failure: &Failure, json: &mut Json) {
    if let Some(overflow) = failure.overflow {
        json.status = StatusCode::FORBIDDEN;
        let message = format!(
            "Input token count + max_tokens must be less than {}",
            overflow.window
        );
        json.value = json!({"error": {
            "message": message, "type": failure.kind, "param": null, "code": null,
        }});
    }
}

pub(super) fn zai_completion(answer: &Answer, json: &mut Json) {
    edit::unset(&mut json.value, "object");
    edit::set(&mut json.value, "request_id", answer.id.clone());
}

pub(super) fn zai_stream(answer: &Answer, stream: &mut Stream) {
    stream.content_type = "text/event-stream;charset=UTF-8";
    parts::usage_on_the_last_choice(stream, answer.usage());
    for chunk in stream.chunks() {
        edit::unset(chunk, "object");
        parts::leave_out_nulls(chunk);
        edit::messages(chunk).for_each(|delta| edit::set(delta, "role", "assistant"));
    }
}

pub(super) fn zai_error(failure: &Failure, json: &mut Json) {
    let code = match (failure.overflow, json.status.as_u16()) {
        (Some(_), _) => "1261",
        (None, 401) => "1000",
        (None, 404) => "1211",
        (None, 429) => "1302",
        (None, 500..) => "1234",
        (None, _) => "1210",
    };
    let message = if failure.overflow.is_some() {
        "Prompt exceeds max length"
    } else {
        failure.message.as_str()
    };
    json.value = json!({"error": {"code": code, "message": message}});
}

fn ollama_usage(answer: &Answer) -> Value {
    let mut usage = answer.usage();
    edit::unset(&mut usage, "prompt_tokens_details");
    edit::unset(&mut usage, "completion_tokens_details");
    usage
}

fn ollama_mark(value: &mut Value) {
    edit::set(value, "system_fingerprint", "fp_ollama");
    edit::unset(value, "service_tier");
    edit::choices(value).for_each(|choice| drop(edit::unset(choice, "logprobs")));
}

pub(super) fn ollama_completion(answer: &Answer, json: &mut Json) {
    ollama_mark(&mut json.value);
    edit::set(&mut json.value, "usage", ollama_usage(answer));
    for message in edit::messages(&mut json.value) {
        edit::unset(message, "refusal");
        if message.get("content").is_some_and(Value::is_null) {
            edit::set(message, "content", "");
        }
    }
}

pub(super) fn ollama_stream(answer: &Answer, stream: &mut Stream) {
    parts::whole_tool_calls(answer, stream);
    for chunk in stream.chunks() {
        ollama_mark(chunk);
        for delta in edit::messages(chunk) {
            edit::set(delta, "role", "assistant");
            edit::unset(delta, "refusal");
            if delta.get("content").is_none_or(Value::is_null) {
                edit::set(delta, "content", "");
            }
        }
        if !edit::has_choices(chunk) {
            edit::set(chunk, "usage", ollama_usage(answer));
        }
    }
}

pub(super) fn ollama_error(failure: &Failure, json: &mut Json) {
    if let Some(overflow) = failure.overflow {
        let message = format!(
            "prompt too long; exceeded max context length by {} tokens",
            overflow.prompt.saturating_sub(overflow.window)
        );
        json.value = json!({"error": {
            "message": message, "type": failure.kind, "param": null, "code": null,
        }});
    }
}

pub(super) fn lmstudio_error(failure: &Failure, json: &mut Json) {
    if failure.overflow.is_some() {
        json.status = StatusCode::OK;
        json.value = json!({"error": "The number of tokens to keep from the initial prompt is greater than the context length."});
    }
}

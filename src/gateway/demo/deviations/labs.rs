//! Those who train what they serve: Gemini, DeepSeek, xAI.

use serde_json::{Value, json};

use super::super::{
    answer::Answer,
    edit,
    failure::Failure,
    reply::{Event, Json, Stream},
};
use super::parts::{self, THOUGHT, THOUGHT_TOKENS};

fn gemini_usage(answer: &Answer) -> Value {
    let completion = answer.completion_tokens();
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": answer.prompt_tokens.saturating_add(completion).saturating_add(THOUGHT_TOKENS),
    })
}

fn gemini_tool_calls(value: &mut Value) {
    for call in edit::tool_calls(value) {
        edit::unset(call, "index");
        edit::set(call, "id", "");
    }
    for message in edit::messages(value).filter(|message| message.get("tool_calls").is_some()) {
        edit::unset(message, "content");
        edit::set(
            message,
            "extra_content",
            json!({"google": {"thought_signature": "ZGVtbw=="}}),
        );
    }
}

pub(super) fn gemini_completion(answer: &Answer, json: &mut Json) {
    edit::set(&mut json.value, "usage", gemini_usage(answer));
    gemini_tool_calls(&mut json.value);
}

pub(super) fn gemini_stream(answer: &Answer, stream: &mut Stream) {
    parts::whole_tool_calls(answer, stream);
    for chunk in stream.chunks() {
        gemini_tool_calls(chunk);
        if !edit::has_choices(chunk) {
            edit::set(chunk, "usage", gemini_usage(answer));
        }
    }
}

pub(super) fn gemini_error(failure: &Failure, json: &mut Json) {
    let status = match json.status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let message = match failure.overflow {
        Some(overflow) => format!(
            "The input token count ({}) exceeds the maximum number of tokens allowed ({}).",
            overflow.prompt, overflow.window
        ),
        None => failure.message.clone(),
    };
    let mut error = json!({"code": json.status.as_u16(), "message": message, "status": status});
    // The wait is told in the body only.
    if let Some(seconds) = json.retry_after.take() {
        let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")});
        edit::set(&mut error, "details", json!([retry]));
    }
    json.value = json!({"error": error});
}

fn deepseek_usage(answer: &Answer) -> Value {
    let mut usage = answer.usage();
    edit::set(
        &mut usage,
        "prompt_tokens_details",
        json!({"cached_tokens": 0}),
    );
    edit::set(
        &mut usage,
        "completion_tokens_details",
        json!({"reasoning_tokens": 0}),
    );
    edit::set(&mut usage, "prompt_cache_hit_tokens", 0);
    edit::set(&mut usage, "prompt_cache_miss_tokens", answer.prompt_tokens);
    usage
}

pub(super) fn deepseek_completion(answer: &Answer, json: &mut Json) {
    json.keep_alive = "\n\n\n";
    edit::set(&mut json.value, "usage", deepseek_usage(answer));
    for (index, call) in edit::tool_calls(&mut json.value).enumerate() {
        edit::set(call, "index", index);
    }
}

pub(super) fn deepseek_stream(answer: &Answer, stream: &mut Stream) {
    parts::usage_on_the_last_choice(stream, deepseek_usage(answer));
    for chunk in stream.chunks().filter(|chunk| chunk.get("usage").is_none()) {
        edit::set(chunk, "usage", Value::Null);
    }
    for delta in stream.chunks().flat_map(edit::messages) {
        edit::set(delta, "reasoning_content", Value::Null);
    }
    stream.events.insert(0, Event::Comment("keep-alive"));
}

fn xai_usage(answer: &Answer) -> Value {
    let mut usage = answer.usage();
    parts::add(&mut usage, "total_tokens", THOUGHT_TOKENS);
    if let Some(details) = usage.get_mut("completion_tokens_details") {
        edit::set(details, "reasoning_tokens", THOUGHT_TOKENS);
    }
    if let Some(details) = usage.get_mut("prompt_tokens_details") {
        edit::set(details, "text_tokens", answer.prompt_tokens);
        edit::set(details, "image_tokens", 0);
    }
    edit::set(&mut usage, "num_sources_used", 0);
    usage
}

pub(super) fn xai_completion(answer: &Answer, json: &mut Json) {
    edit::set(&mut json.value, "usage", xai_usage(answer));
    edit::messages(&mut json.value)
        .for_each(|message| edit::set(message, "reasoning_content", THOUGHT));
}

pub(super) fn xai_stream(answer: &Answer, stream: &mut Stream) {
    parts::whole_tool_calls(answer, stream);
    for chunk in stream.chunks() {
        parts::leave_out_nulls(chunk);
        if !edit::has_choices(chunk) {
            edit::set(chunk, "usage", xai_usage(answer));
        }
    }
    if let Some(delta) = stream
        .chunks()
        .next()
        .and_then(|first| edit::messages(first).next())
    {
        edit::set(delta, "reasoning_content", THOUGHT);
    }
}

pub(super) fn xai_error(failure: &Failure, json: &mut Json) {
    let code = match json.status.as_u16() {
        404 => "Some requested entity was not found",
        429 => "Some resource has been exhausted",
        500.. => "The service is currently unavailable",
        _ => "Client specified an invalid argument",
    };
    json.value = json!({"code": code, "error": failure.message});
}

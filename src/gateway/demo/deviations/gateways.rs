//! Services that put a product or a cloud around models: Perplexity, OpenRouter, Azure.

use serde_json::{Value, json};

use super::super::{
    answer::Answer,
    edit,
    failure::Failure,
    reply::{Event, Json, Stream},
};
use super::parts;

const CITATION: &str = "https://example.com/";

fn perplexity_usage(answer: &Answer, completion: u64) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": answer.prompt_tokens.saturating_add(completion),
        "search_context_size": "low",
        "cost": {"input_tokens_cost": 0.000_002, "output_tokens_cost": 0.000_015, "request_cost": 0.005, "total_cost": 0.005_017},
    })
}

pub(super) fn perplexity_completion(answer: &Answer, json: &mut Json) {
    edit::set(
        &mut json.value,
        "usage",
        perplexity_usage(answer, answer.completion_tokens()),
    );
    edit::set(&mut json.value, "citations", json!([CITATION]));
    edit::set(
        &mut json.value,
        "search_results",
        json!([{"title": "Example", "url": CITATION}]),
    );
}

pub(super) fn perplexity_stream(answer: &Answer, stream: &mut Stream) {
    stream.line_end = "\r\n";
    stream.forget_usage();
    stream.forget_done();
    let mut said = vec![String::new(); answer.choices.len()];
    let mut completion = 0;
    for chunk in stream.chunks() {
        let mut finished = false;
        for choice in edit::choices(chunk) {
            let piece = choice
                .pointer("/delta/content")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            completion += u64::from(!piece.is_empty());
            finished |= choice.get("finish_reason").is_some_and(Value::is_string);
            let index = choice
                .get("index")
                .and_then(Value::as_u64)
                .and_then(|index| usize::try_from(index).ok());
            if let Some(said) = index.and_then(|index| said.get_mut(index)) {
                said.push_str(&piece);
                edit::set(
                    choice,
                    "message",
                    json!({"role": "assistant", "content": said}),
                );
            }
        }
        let object = if finished {
            "chat.completion.done"
        } else {
            "chat.completion"
        };
        edit::set(chunk, "object", object);
        edit::set(chunk, "usage", perplexity_usage(answer, completion));
        edit::set(chunk, "citations", json!([CITATION]));
        edit::set(
            chunk,
            "search_results",
            json!([{"title": "Example", "url": CITATION}]),
        );
    }
}

pub(super) fn perplexity_error(failure: &Failure, json: &mut Json) {
    let (kind, message) = match failure.overflow {
        Some(_) => (
            "too_many_prompt_tokens",
            "The total length of all messages is too long.",
        ),
        None => (failure.kind, failure.message.as_str()),
    };
    json.value = json!({"error": {"message": message, "type": kind, "code": json.status.as_u16()}});
}

fn openrouter_usage(answer: &Answer) -> Value {
    let mut usage = answer.usage();
    edit::set(&mut usage, "cost", 0.000_012_3);
    edit::set(&mut usage, "is_byok", false);
    edit::set(
        &mut usage,
        "cost_details",
        json!({"upstream_inference_cost": 0.000_012_3}),
    );
    usage
}

fn openrouter_mark(value: &mut Value) {
    edit::set(value, "provider", "Demo");
    for choice in edit::choices(value) {
        let finish = choice.get("finish_reason").cloned().unwrap_or_default();
        let native = match finish.as_str() {
            Some("stop") => json!("STOP"),
            Some("length") => json!("MAX_TOKENS"),
            _ => finish,
        };
        edit::set(choice, "native_finish_reason", native);
    }
}

pub(super) fn openrouter_completion(answer: &Answer, json: &mut Json) {
    json.keep_alive = "\n         \n         \n";
    openrouter_mark(&mut json.value);
    edit::set(&mut json.value, "usage", openrouter_usage(answer));
    edit::messages(&mut json.value)
        .for_each(|message| edit::set(message, "reasoning", Value::Null));
}

pub(super) fn openrouter_stream(answer: &Answer, stream: &mut Stream) {
    stream.forget_usage();
    // The finish reason comes twice: with the last choice, and once more with the usage.
    if let Some(finish) = stream.finish().cloned() {
        let before_done = stream.events.len().saturating_sub(1);
        stream.events.insert(before_done, Event::Data(finish));
    }
    parts::usage_on_the_last_choice(stream, openrouter_usage(answer));
    stream.chunks().for_each(openrouter_mark);
    let processing = || Event::Comment("OPENROUTER PROCESSING");
    stream.events.splice(..0, [processing(), processing()]);
}

pub(super) fn openrouter_error(failure: &Failure, json: &mut Json) {
    json.value = json!({
        "error": {
            "code": json.status.as_u16(),
            "message": failure.message,
            "metadata": {"provider_name": "Demo", "raw": failure.openai().to_string()},
        },
        "user_id": "user_demo",
    });
}

pub(super) fn openrouter_error_event(failure: &Failure, _: Value) -> Event {
    Event::Data(json!({
        "object": "chat.completion.chunk",
        "provider": "Demo",
        "error": {"code": 502, "message": failure.message},
        "choices": [{
            "index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error",
        }],
    }))
}

fn azure_verdict() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

fn azure_prompt_filter() -> Value {
    json!([{"prompt_index": 0, "content_filter_results": azure_verdict()}])
}

pub(super) fn azure_completion(_: &Answer, json: &mut Json) {
    edit::set(
        &mut json.value,
        "prompt_filter_results",
        azure_prompt_filter(),
    );
    edit::choices(&mut json.value)
        .for_each(|choice| edit::set(choice, "content_filter_results", azure_verdict()));
}

pub(super) fn azure_stream(_: &Answer, stream: &mut Stream) {
    for chunk in stream.chunks() {
        edit::choices(chunk)
            .for_each(|choice| edit::set(choice, "content_filter_results", json!({})));
    }
    let blank = |choices: Value| json!({"id": "", "object": "", "model": "", "created": 0, "choices": choices});
    let mut first = blank(json!([]));
    edit::set(&mut first, "prompt_filter_results", azure_prompt_filter());
    stream.events.insert(0, Event::Data(first));
    // The asynchronous filter reports late, in a choice that has no delta at all.
    let verdict = blank(json!([{
        "index": 0,
        "finish_reason": null,
        "content_filter_results": azure_verdict(),
        "content_filter_offsets": {"check_offset": 0, "start_offset": 0, "end_offset": 1},
    }]));
    let before_done = stream.events.len().saturating_sub(1);
    stream.events.insert(before_done, Event::Data(verdict));
}

pub(super) fn azure_error(failure: &Failure, json: &mut Json) {
    let code = failure.code.filter(|_| failure.status.as_u16() != 429);
    let code = code.map_or_else(|| json.status.as_u16().to_string(), str::to_owned);
    json.value = json!({"error": {"code": code, "message": failure.message}});
}

//! Every stated usage reads to what the provider's own arithmetic says.
//!
//! The expected numbers come from a second reader that shares nothing with the crate's: it goes by provider and API, where
//! the crate goes by member names, and walks whole values.

use std::collections::BTreeMap;

use serde_json::Value;
use tower_relay::message::usage::{Usage, UsageScan};

use super::{Record, records};

/// Input, cache read, writes of 5 minutes and 1 hour, output, reasoning, audio in and out.
pub(super) type Counts = [u64; 8];

#[test]
fn every_stated_usage_reads_to_the_providers_own_arithmetic() {
    let Some(records) = records() else { return };
    let mut table = BTreeMap::<&str, [usize; 3]>::new();
    let mut wrong = Vec::new();
    for record in records.iter().filter(|record| record.is_success()) {
        let read = scan(record).usage().map(counts);
        let expected = expected(record);
        let row = table.entry(&record.provider).or_default();
        row[0] += 1;
        row[1] += usize::from(expected.is_some());
        row[2] += usize::from(expected.is_some() && read == expected);
        if read != expected {
            wrong.push(format!(
                "{}: read {read:?}, expected {expected:?}",
                record.id
            ));
        }
    }
    println!(
        "{:<18} {:>8} {:>11} {:>6}",
        "usage", "records", "with usage", "equal"
    );
    for (provider, [records, with_usage, equal]) in &table {
        println!("{provider:<18} {records:>8} {with_usage:>11} {equal:>6}");
    }
    let sum = |column: usize| table.values().map(|row| row[column]).sum::<usize>();
    println!("{:<18} {:>8} {:>11} {:>6}", "all", sum(0), sum(1), sum(2));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_stream_reads_the_same_as_its_events_in_one_body() {
    let Some(records) = records() else { return };
    for record in records
        .iter()
        .filter(|record| record.is_success() && record.is_events())
    {
        let by_event = scan(record);
        let lines: Vec<_> = json_events(record).iter().map(Value::to_string).collect();
        let mut at_once = UsageScan::default();
        at_once.body(lines.join("\n").as_bytes());
        assert_eq!(by_event.usage(), at_once.usage(), "{}", record.id);
    }
}

fn scan(record: &Record) -> UsageScan {
    let mut scan = UsageScan::default();
    if record.is_events() {
        for event in record.events() {
            scan.event(event.as_bytes());
        }
    } else {
        scan.body(record.body().as_bytes());
    }
    scan
}

pub(super) fn counts(usage: Usage) -> Counts {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.audio_in,
        usage.audio_out,
    ]
}

fn json_events(record: &Record) -> Vec<Value> {
    if record.is_events() {
        let events = record.events();
        events
            .iter()
            .filter_map(|event| serde_json::from_str(event).ok())
            .collect()
    } else {
        serde_json::from_str(record.body())
            .ok()
            .into_iter()
            .collect()
    }
}

/// The last value at any of `paths` that holds a number, over all events.
fn last(events: &[Value], paths: &[&str]) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)]
    let number = |value: &Value| value.as_f64().map(|number| number as i64);
    events
        .iter()
        .flat_map(|event| paths.iter().filter_map(|path| event.pointer(path)))
        .filter_map(number)
        .next_back()
}

pub(super) fn expected(record: &Record) -> Option<Counts> {
    let events = json_events(record);
    match record.api.as_str() {
        "anthropic-messages" => anthropic(&events),
        "gemini-generate" => gemini(&events),
        "gemini-interactions" => interactions(&events),
        "bedrock-converse" => converse(&events),
        "bedrock-invoke" => anthropic(&events)
            .or_else(|| converse(&events))
            .or_else(|| openai_chat(&record.provider, &events))
            .or_else(|| invoke(&events)),
        "cohere-chat" => cohere(&events),
        "ollama-chat" | "ollama-generate" => ollama(&events),
        "openai-responses" => responses(&events).or_else(|| openai_chat(&record.provider, &events)),
        "openai-chat" | "openai-completions" => openai_chat(&record.provider, &events),
        "embeddings" | "rerank" => ollama(&events)
            .or_else(|| cohere(&events))
            .or_else(|| total_only(&events)),
        // Lists of models, and counts of tokens that nobody used.
        "models" | "count_tokens" => None,
        other => panic!("{}: unknown api {other}", record.id),
    }
}

/// Input and cache are apart, thinking is part of the output, and what `message_delta` repeats is newer.
fn anthropic(events: &[Value]) -> Option<Counts> {
    let of = |name: &str| {
        last(
            events,
            &[&format!("/message/usage/{name}"), &format!("/usage/{name}")],
        )
    };
    let output = of("output_tokens")?;
    let thinking = of("output_tokens_details/thinking_tokens")
        .unwrap_or(0)
        .min(output);
    let writes = of("cache_creation_input_tokens").unwrap_or(0);
    let writes_1h = of("cache_creation/ephemeral_1h_input_tokens").unwrap_or(0);
    Some(natural([
        of("input_tokens").unwrap_or(0),
        of("cache_read_input_tokens").unwrap_or(0),
        writes - writes_1h,
        writes_1h,
        output - thinking,
        thinking,
        0,
        0,
    ]))
}

/// total = prompt + candidates + thoughts + tool use, the cache is part of the prompt.
fn gemini(events: &[Value]) -> Option<Counts> {
    let stated: Vec<_> = events
        .iter()
        .filter_map(|event| event.get("usageMetadata"))
        .filter(|usage| usage.get("totalTokenCount").is_some())
        .collect();
    let usage = stated.last()?;
    let of = |name: &str| usage[name].as_i64().unwrap_or(0);
    let audio = |list: &str| -> i64 {
        let entries = usage[list].as_array().into_iter().flatten();
        entries
            .filter(|entry| entry["modality"] == "AUDIO")
            .map(|entry| entry["tokenCount"].as_i64().unwrap_or(0))
            .sum()
    };
    let cached = of("cachedContentTokenCount");
    let audio_in = audio("promptTokensDetails") - audio("cacheTokensDetails");
    let audio_out = audio("candidatesTokensDetails");
    Some(natural([
        of("promptTokenCount") - cached - audio_in + of("toolUsePromptTokenCount"),
        cached,
        0,
        0,
        of("candidatesTokenCount") - audio_out,
        of("thoughtsTokenCount"),
        audio_in,
        audio_out,
    ]))
}

fn interactions(events: &[Value]) -> Option<Counts> {
    let of = |name: &str| {
        last(
            events,
            &[
                &format!("/interaction/usage/{name}"),
                &format!("/usage/{name}"),
            ],
        )
    };
    let cached = of("total_cached_tokens").unwrap_or(0);
    Some(natural([
        of("total_input_tokens")? - cached + of("total_tool_use_tokens").unwrap_or(0),
        cached,
        0,
        0,
        of("total_output_tokens").unwrap_or(0),
        of("total_thought_tokens").unwrap_or(0),
        0,
        0,
    ]))
}

/// total = input + output + cache reads + cache writes.
fn converse(events: &[Value]) -> Option<Counts> {
    let of = |name: &str| {
        last(
            events,
            &[
                &format!("/metadata/usage/{name}"),
                &format!("/usage/{name}"),
            ],
        )
    };
    let (input, output) = (of("inputTokens")?, of("outputTokens")?);
    let reads = of("cacheReadInputTokens")
        .or(of("cacheReadInputTokenCount"))
        .unwrap_or(0);
    let writes = of("cacheWriteInputTokens")
        .or(of("cacheWriteInputTokenCount"))
        .unwrap_or(0);
    assert_eq!(of("totalTokens"), Some(input + output + reads + writes));
    Some(natural([input, reads, writes, 0, output, 0, 0, 0]))
}

/// Llama and Titan.
fn invoke(events: &[Value]) -> Option<Counts> {
    let input = last(events, &["/prompt_token_count", "/inputTextTokenCount"])?;
    let output = last(
        events,
        &["/generation_token_count", "/results/0/tokenCount"],
    )
    .unwrap_or(0);
    Some(natural([input, 0, 0, 0, output, 0, 0, 0]))
}

/// Billed units are what is charged; of what was generated, reasoning is known.
fn cohere(events: &[Value]) -> Option<Counts> {
    let of = |name: &str| {
        last(
            events,
            &[
                &format!("/delta/usage/{name}"),
                &format!("/response/meta/{name}"),
                &format!("/meta/{name}"),
                &format!("/usage/{name}"),
            ],
        )
    };
    let input = of("billed_units/input_tokens")?;
    let output = of("billed_units/output_tokens").unwrap_or(0);
    let reasoning = of("tokens/reasoning_tokens").unwrap_or(0).min(output);
    Some(natural([
        input,
        0,
        0,
        0,
        output - reasoning,
        reasoning,
        0,
        0,
    ]))
}

fn ollama(events: &[Value]) -> Option<Counts> {
    let (input, output) = (
        last(events, &["/prompt_eval_count"]),
        last(events, &["/eval_count"]),
    );
    input.or(output)?;
    Some(natural([
        input.unwrap_or(0),
        0,
        0,
        0,
        output.unwrap_or(0),
        0,
        0,
        0,
    ]))
}

fn total_only(events: &[Value]) -> Option<Counts> {
    Some(natural([
        last(events, &["/usage/total_tokens"])?,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]))
}

/// total = input + output, cached and written are part of the input, reasoning is part of the output.
fn responses(events: &[Value]) -> Option<Counts> {
    let of = |name: &str| {
        last(
            events,
            &[
                &format!("/response/usage/{name}"),
                &format!("/usage/{name}"),
            ],
        )
    };
    let (input, output) = (of("input_tokens")?.max(0), of("output_tokens")?.max(0));
    let cached = of("input_tokens_details/cached_tokens")
        .unwrap_or(0)
        .min(input);
    let written = of("input_tokens_details/cache_write_tokens").unwrap_or(0);
    let reasoning = of("output_tokens_details/reasoning_tokens")
        .unwrap_or(0)
        .min(output);
    Some(natural([
        input - cached - written,
        cached,
        written,
        0,
        output - reasoning,
        reasoning,
        0,
        0,
    ]))
}

fn openai_chat(provider: &str, events: &[Value]) -> Option<Counts> {
    let of = |names: &[&str]| {
        let paths: Vec<_> = names.iter().map(|name| format!("/usage/{name}")).collect();
        last(
            events,
            &paths.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    let prompt = of(&["prompt_tokens"])?.max(0);
    let mut completion = of(&["completion_tokens"]).unwrap_or(0).max(0);
    let total = of(&["total_tokens"]).unwrap_or(prompt + completion);
    let cached = of(&[
        "prompt_tokens_details/cached_tokens",
        "prompt_token_details/cached_tokens",
        "cached_tokens",
        "num_cached_tokens",
        "cache_read_input_tokens",
    ])
    .unwrap_or(0)
    .min(prompt);
    let written = of(&[
        "prompt_tokens_details/cache_write_tokens",
        "cache_creation_input_tokens",
    ])
    .unwrap_or(0)
    .min(prompt - cached);
    let audio_in = of(&["prompt_tokens_details/audio_tokens"]).unwrap_or(0);
    let mut reasoning = of(&[
        "completion_tokens_details/reasoning_tokens",
        "completion_token_details/reasoning_tokens",
        "reasoning_tokens",
    ])
    .unwrap_or(0);
    let mut input = prompt - cached - written;
    match provider {
        "xai" => completion += reasoning,
        "gemini" => completion = total - prompt,
        "mistral" => {}
        _ => input -= audio_in.min(input),
    }
    reasoning = reasoning.min(completion);
    let audio_out = of(&["completion_tokens_details/audio_tokens"])
        .unwrap_or(0)
        .min(completion - reasoning);
    Some(natural([
        input,
        cached,
        written,
        0,
        completion - reasoning - audio_out,
        reasoning,
        audio_in,
        audio_out,
    ]))
}

fn natural(counts: [i64; 8]) -> Counts {
    counts.map(|count| u64::try_from(count).expect("a reader that clamps"))
}

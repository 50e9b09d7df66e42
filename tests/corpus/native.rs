//! Recorded answers of Anthropic's, Gemini's, Cohere's, Ollama's and Bedrock's own APIs to a chat request: normalised they are what
//! OpenAI's schema allows, and still what the model said.
//!
//! What it said is read from the recordings in `original`, with nothing of this crate.

mod original;
mod said;

use std::{collections::BTreeMap, convert::Infallible, fs};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, header};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_relay::{
    message::RequestBody,
    normalize::{ChatSummary, ResponseNormalizeLayer},
};

use self::{
    original::{invoked, original},
    said::{Said, openai},
};
use super::{
    Record, records,
    sent::{Cut, Sent, collect},
    sse_data,
};

const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/openai-schema/observed.schema.json"
);

#[test]
fn native_answers_become_what_openais_schema_allows_and_say_the_same() {
    let Some(records) = records() else { return };
    let Ok(schema) = fs::read_to_string(SCHEMA) else {
        println!("skipped: no schema at {SCHEMA}");
        return;
    };
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = |name: &str| {
        let mut schema = schema.clone();
        schema["$ref"] = format!("#/$defs/{name}").into();
        jsonschema::validator_for(&schema).unwrap()
    };
    let body = validator("CreateChatCompletionResponse");
    let chunk = validator("CreateChatCompletionStreamResponse");
    let error = validator("ErrorResponse");
    let mut table = BTreeMap::<(&str, &str), [usize; 4]>::new();
    let mut failed = Vec::new();
    let mut all_said = [0; 3];
    for record in records.iter().filter(|record| is_native_chat(record)) {
        let row = table.entry((&record.provider, &record.api)).or_default();
        row[0] += 1;
        let sent = Sent::of(record);
        let expected = original(record);
        let (seen, headers, repairs) = normalised(&sent, Cut::Whole, true, record.is_events());
        assert_eq!(
            seen,
            normalised(&sent, Cut::Every(7), true, record.is_events()).0,
            "{} in pieces",
            record.id
        );
        let is_events = headers[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream");
        assert_eq!(is_events, record.is_events(), "{}", record.id);
        let jsons = read(is_events, &seen);
        let validator = if expected.error {
            &error
        } else if is_events {
            &chunk
        } else {
            &body
        };
        let mut faults: Vec<_> = jsons
            .iter()
            .flat_map(|json| validator.iter_errors(json))
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        let said = openai(is_events, &jsons);
        if !repairs.contains(&"native") {
            faults.push("not converted".to_owned());
        } else if said != expected {
            faults.push(format!("{said:?} is not {expected:?}"));
        }
        if is_events && !expected.error {
            faults.extend(order(&seen, &jsons));
        }
        for choice in said.choices.values() {
            let said = [
                choice.text.len(),
                choice.reasoning.len(),
                choice.calls.len(),
            ];
            all_said = [0, 1, 2].map(|at| all_said[at] + said[at]);
        }
        row[1] += usize::from(faults.is_empty() && !expected.error);
        row[2] += usize::from(expected.error);
        if let Some(fault) = faults.first() {
            row[3] += 1;
            failed.push(format!("{}: {fault}", record.id));
            continue;
        }
        without_usage(record, &sent, &expected);
        twice(record, &seen, is_events, &headers);
        summed_up(record, &sent, &expected);
    }
    println!(
        "{:<18} {:<20} {:>7} {:>9} {:>6} {:>6}",
        "native", "api", "records", "converted", "errors", "failed"
    );
    for ((provider, api), [all, converted, errors, failed]) in &table {
        println!("{provider:<18} {api:<20} {all:>7} {converted:>9} {errors:>6} {failed:>6}");
    }
    let [text, reasoning, calls] = all_said;
    println!("{text} bytes of text, {reasoning} of reasoning, {calls} tool calls");
    assert!(
        failed.is_empty(),
        "{} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn a_native_stream_that_was_cut_off_never_ends_as_if_whole() {
    let Some(records) = records() else { return };
    let mut cut_off = 0;
    for record in records.iter().filter(|record| is_native_chat(record)) {
        let sent = Sent::of(record);
        if !record.is_events() {
            continue;
        }
        let last_words: &[&str] = &[
            "\"stop_reason\":\"",
            "message-end",
            "\"done\":true",
            "stream-end",
            "messageStop",
            "finishReason",
        ];
        let text = std::str::from_utf8(&sent.body).unwrap();
        let end = last_words.iter().filter_map(|word| text.find(word)).min();
        let end = end.unwrap_or(text.len());
        for at in (0..end).step_by(1 + end / 40) {
            let (seen, ..) = normalised(&sent.cut_off(at), Cut::Every(50), true, true);
            let seen = String::from_utf8(seen.to_vec()).unwrap();
            assert!(!seen.contains("[DONE]"), "{} cut at {at}", record.id);
            assert!(
                !seen.contains("\"finish_reason\":\""),
                "{} cut at {at}",
                record.id
            );
            cut_off += 1;
        }
    }
    println!("{cut_off} cuts");
}

/// Records of chat answers in another form than OpenAI's.
fn is_native_chat(record: &Record) -> bool {
    let is_api = match record.api.as_str() {
        "anthropic-messages" | "gemini-generate" | "ollama-chat" | "ollama-generate" => true,
        // Embeddings were recorded under the same name.
        "cohere-chat" => !record.body().contains("\"embeddings\""),
        // One recording has its binary frames in base64 and undecoded.
        "bedrock-converse" => {
            record.response.decoded_events.is_some() || record.body().contains('{')
        }
        _ => invoked(record).is_some(),
    };
    is_api && record.is_success()
}

/// What reaches a caller, and what was repaired.
fn normalised(
    sent: &Sent,
    cut: Cut,
    wants_usage: bool,
    wants_stream: bool,
) -> (Bytes, HeaderMap, Vec<&'static str>) {
    let layer = ResponseNormalizeLayer::new();
    let handle = layer.handle();
    let asked = json!({"model": "asked", "stream": wants_stream, "stream_options": {"include_usage": wants_usage}});
    let request = Request::post("/v1/chat/completions")
        .body(RequestBody::json(asked.to_string()))
        .unwrap();
    let service =
        ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(|_: Request<RequestBody>| {
                std::future::ready(Ok::<_, Infallible>(sent.response(cut)))
            }));
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    let headers = response.headers().clone();
    let seen = collect(response.into_body());
    let repairs = handle.repairs().filter(|(_, count)| *count > 0);
    let repairs = repairs.map(|(repair, _)| repair.as_str()).collect();
    (unnamed(&seen), headers, repairs)
}

/// The bytes with ids and times of our own, which differ from run to run, made the same.
fn unnamed(seen: &[u8]) -> Bytes {
    let mut text = String::from_utf8(seen.to_vec()).unwrap();
    for (before, end) in [("\"id\":\"chatcmpl-", "\","), ("\"created\":", ",")] {
        let mut parts = text.split(before);
        let first = parts.next().unwrap().to_owned();
        let rest = parts.map(|part| part.split_once(end).unwrap().1);
        let made = format!("{before}1{end}");
        text = rest.fold(first, |text, rest| text + &made + rest);
    }
    text.into()
}

fn read(is_events: bool, body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    if !is_events {
        return vec![serde_json::from_str(&text).unwrap()];
    }
    let events = sse_data(&text).into_iter();
    events
        .filter(|data| !data.is_empty() && data != "[DONE]")
        .map(|data| serde_json::from_str(&data).unwrap())
        .collect()
}

/// What is not in the order of an OpenAI stream.
fn order(seen: &[u8], jsons: &[Value]) -> Option<String> {
    let text = std::str::from_utf8(seen).unwrap();
    if !text.ends_with("}\n\ndata: [DONE]\n\n") || text.matches("[DONE]").count() != 1 {
        return Some("no [DONE] at the end".to_owned());
    }
    if jsons[0].pointer("/choices/0/delta/role") != Some(&json!("assistant")) {
        return Some("no role at first".to_owned());
    }
    let mut finished = false;
    for json in jsons {
        if json["choices"] == json!([]) {
            if !finished {
                return Some("usage before the end".to_owned());
            }
        } else if !json["usage"].is_null() {
            return Some("usage beside a choice".to_owned());
        }
        finished |= !json["choices"][0]["finish_reason"].is_null();
    }
    None
}

/// A caller who did not ask for usage gets no chunk of it.
fn without_usage(record: &Record, sent: &Sent, expected: &Said) {
    if record.is_events() {
        let (seen, ..) = normalised(sent, Cut::Whole, false, true);
        assert!(
            !seen.windows(7).any(|part| part == b"\"usage\""),
            "{}",
            record.id
        );
        let said = openai(true, &read(true, &seen));
        assert_eq!(said.choices, expected.choices, "{}", record.id);
    }
}

/// What was normalised is OpenAI's, so a second time changes nothing.
fn twice(record: &Record, seen: &Bytes, is_events: bool, headers: &HeaderMap) {
    let again = Sent::made(seen.clone(), headers.clone());
    let (again, _, repairs) = normalised(&again, Cut::Every(100), true, is_events);
    assert_eq!(&again, seen, "{} twice: {repairs:?}", record.id);
    assert_eq!(repairs, Vec::<&str>::new(), "{}", record.id);
}

fn summed_up(record: &Record, sent: &Sent, expected: &Said) {
    let summary = if record.is_events() {
        ChatSummary::of_stream(&sent.body)
    } else {
        ChatSummary::of_body(&sent.body)
    };
    if expected.error {
        return;
    }
    let summary = summary.unwrap_or_else(|error| panic!("{}: {error}", record.id));
    let first = &expected.choices[&0];
    assert_eq!(summary.content, first.text, "{}", record.id);
    assert_eq!(
        summary.finish_reason.as_deref(),
        first.stop.as_deref(),
        "{}",
        record.id
    );
    let usage = summary.usage.map(|usage| {
        [
            usage.total_input(),
            usage.cache_read,
            usage.total_output(),
            usage.reasoning,
        ]
    });
    assert_eq!(usage, expected.usage, "{}", record.id);
}

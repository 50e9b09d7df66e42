//! Recorded answers of Anthropic's, Gemini's, Cohere's, Ollama's and Bedrock's own APIs to a chat request: normalised they are what
//! OpenAI's schema allows, and still what the model said.
//!
//! What it said is read from the recordings here by JSON pointers, with nothing of this crate.

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

use super::{
    Record, records,
    sent::{Cut, Sent, collect},
    sse_data,
};

const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/openai-schema/observed.schema.json"
);

/// What a model said: by choice the text, the reasoning, the tool calls and why it stopped.
#[derive(Debug, Default, PartialEq)]
struct Said {
    choices: BTreeMap<u64, Choice>,
    /// Input, cached, output and reasoning tokens.
    usage: Option<[u64; 4]>,
    error: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Choice {
    text: String,
    reasoning: String,
    calls: Vec<(Option<String>, String, String)>,
    stop: Option<String>,
}

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

/// The form of what Bedrock invoked: that of the model's maker, where it is a chat.
fn invoked(record: &Record) -> Option<&str> {
    let json: Value = serde_json::from_str(record.body()).ok()?;
    match record.api.as_str() {
        "bedrock-invoke" if json["type"] == "message" => Some("anthropic-messages"),
        "bedrock-invoke" if json["stopReason"].is_string() => Some("bedrock-converse"),
        "bedrock-invoke" if json["generation_id"].is_string() => Some("cohere-chat"),
        _ => None,
    }
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

/// What an OpenAI answer says.
fn openai(is_events: bool, jsons: &[Value]) -> Said {
    let mut said = Said::default();
    for json in jsons {
        said.error |= json["error"].is_object();
        if json["usage"].is_object() {
            let usage = &json["usage"];
            let count = |at: &str| usage.pointer(at).and_then(Value::as_u64).unwrap();
            assert_eq!(
                count("/prompt_tokens") + count("/completion_tokens"),
                count("/total_tokens")
            );
            said.usage = Some([
                count("/prompt_tokens"),
                count("/prompt_tokens_details/cached_tokens"),
                count("/completion_tokens"),
                count("/completion_tokens_details/reasoning_tokens"),
            ]);
        }
        for choice in json["choices"].as_array().into_iter().flatten() {
            let message = &choice[if is_events { "delta" } else { "message" }];
            let known = said
                .choices
                .entry(choice["index"].as_u64().unwrap())
                .or_default();
            known.text += message["content"].as_str().unwrap_or_default();
            known.reasoning += message["reasoning_content"].as_str().unwrap_or_default();
            for (at, call) in message["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                let at = call["index"]
                    .as_u64()
                    .map_or(at, |at| usize::try_from(at).unwrap());
                if known.calls.len() == at {
                    let id = call["id"].as_str().unwrap();
                    let made = id.starts_with("call_") && !id.starts_with("call_REDACTED");
                    let name = call["function"]["name"].as_str().unwrap().to_owned();
                    known
                        .calls
                        .push(((!made).then(|| id.to_owned()), name, String::new()));
                }
                known.calls[at].2 += call["function"]["arguments"].as_str().unwrap();
            }
            if let Some(stop) = choice["finish_reason"].as_str() {
                known.stop = Some(stop.to_owned());
            }
        }
    }
    for call in said
        .choices
        .values_mut()
        .flat_map(|choice| &mut choice.calls)
    {
        let arguments: Value = serde_json::from_str(&call.2).unwrap();
        call.2 = arguments.to_string();
    }
    said
}

/// What a recording says.
fn original(record: &Record) -> Said {
    let jsons: Vec<Value> = if record.is_events() {
        let named = record.response.decoded_events.iter().flatten();
        let named: Vec<Value> = named
            .map(|frame| json!({frame["event"].as_str().unwrap(): frame["payload"]}))
            .collect();
        if named.is_empty() {
            let events = record.events().into_iter();
            events
                .filter_map(|data| serde_json::from_str(&data).ok())
                .collect()
        } else {
            named
        }
    } else {
        vec![serde_json::from_str(record.body()).unwrap()]
    };
    let mut said = match invoked(record).unwrap_or(&record.api) {
        "anthropic-messages" => anthropic(&jsons),
        "gemini-generate" => gemini(&jsons),
        "cohere-chat" => cohere(&jsons),
        "bedrock-converse" => bedrock(&jsons),
        _ => ollama(&jsons),
    };
    for choice in said.choices.values_mut() {
        let stop = choice.stop.take();
        let calls = !choice.calls.is_empty();
        let word = match stop.as_deref().unwrap_or("") {
            "end_turn" | "STOP" | "COMPLETE" | "stop" | "1" | "UNEXPECTED_TOOL_CALL" if calls => {
                "tool_calls"
            }
            "end_turn" | "stop_sequence" | "STOP" | "COMPLETE" | "STOP_SEQUENCE" | "stop" | "1"
            | "" => "stop",
            "max_tokens" | "MAX_TOKENS" | "length" | "2" => "length",
            "tool_use" | "TOOL_CALL" => "tool_calls",
            "MODEL_ARMOR" | "guardrail_intervened" | "refusal" => "content_filter",
            "MALFORMED_FUNCTION_CALL" | "ERROR" => {
                said.error = true;
                continue;
            }
            other => panic!("{}: {other}", record.id),
        };
        choice.stop = Some(word.to_owned());
    }
    for call in said
        .choices
        .values_mut()
        .flat_map(|choice| &mut choice.calls)
    {
        let text = if call.2.is_empty() { "{}" } else { &call.2 };
        let arguments: Value = serde_json::from_str(text).unwrap();
        call.2 = arguments.to_string();
    }
    if said.error {
        said = Said {
            error: true,
            ..Said::default()
        };
    }
    said
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn id(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|id| !id.starts_with("call_") || id.starts_with("call_REDACTED"))
        .map(str::to_owned)
}

fn anthropic(jsons: &[Value]) -> Said {
    let mut choice = Choice::default();
    let mut usage = serde_json::Map::new();
    let mut open = BTreeMap::new();
    for json in jsons {
        for stated in [&json["usage"], &json["message"]["usage"]] {
            usage.extend(stated.as_object().cloned().unwrap_or_default());
        }
        for block in json["content"]
            .as_array()
            .into_iter()
            .flatten()
            .chain([&json["content_block"]])
        {
            choice.text += if block["type"] == "text" {
                text(&block["text"])
            } else {
                ""
            };
            choice.reasoning += if block["type"] == "thinking" {
                text(&block["thinking"])
            } else {
                ""
            };
            if block["type"] == "tool_use" {
                open.insert(json["index"].as_u64(), choice.calls.len());
                let input = if jsons.len() > 1 {
                    String::new()
                } else {
                    block["input"].to_string()
                };
                choice
                    .calls
                    .push((id(&block["id"]), text(&block["name"]).to_owned(), input));
            }
        }
        choice.text += text(&json["delta"]["text"]);
        choice.reasoning += text(&json["delta"]["thinking"]);
        if let Some(at) = open.get(&json["index"].as_u64()) {
            choice.calls[*at].2 += text(&json["delta"]["partial_json"]);
        }
        if json["type"] == "content_block_stop" {
            open.remove(&json["index"].as_u64());
        }
        for stop in [&json["stop_reason"], &json["delta"]["stop_reason"]] {
            choice.stop = stop.as_str().map(str::to_owned).or(choice.stop.take());
        }
    }
    let usage = Value::Object(usage);
    let count = |name: &str| usage.pointer(name).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("/cache_read_input_tokens");
    let input = count("/input_tokens") + cached + count("/cache_creation_input_tokens");
    let thinking = count("/output_tokens_details/thinking_tokens");
    Said {
        choices: BTreeMap::from([(0, choice)]),
        usage: Some([input, cached, count("/output_tokens"), thinking]),
        error: false,
    }
}

fn gemini(jsons: &[Value]) -> Said {
    let mut said = Said::default();
    let mut partial = serde_json::Map::new();
    for json in jsons {
        let usage = &json["usageMetadata"];
        if usage.is_object() {
            let count = |name: &str| usage[name].as_u64().unwrap_or(0);
            let input = count("promptTokenCount") + count("toolUsePromptTokenCount");
            let thoughts = count("thoughtsTokenCount");
            let output = count("candidatesTokenCount") + thoughts;
            said.usage = Some([input, count("cachedContentTokenCount"), output, thoughts]);
        }
        for candidate in json["candidates"].as_array().into_iter().flatten() {
            let choice = said
                .choices
                .entry(candidate["index"].as_u64().unwrap_or(0))
                .or_default();
            for part in candidate["content"]["parts"]
                .as_array()
                .into_iter()
                .flatten()
            {
                if part["thought"] == true {
                    choice.reasoning += text(&part["text"]);
                } else {
                    choice.text += text(&part["text"]);
                }
                let Some(call) = part["functionCall"].as_object() else {
                    continue;
                };
                if let Some(name) = call.get("name") {
                    partial = serde_json::Map::new();
                    let args = call.get("args").map(Value::to_string).unwrap_or_default();
                    choice.calls.push((
                        id(&part["functionCall"]["id"]),
                        text(name).to_owned(),
                        args,
                    ));
                }
                for arg in part["functionCall"]["partialArgs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                {
                    // All recorded ones are strings at the top.
                    let name = text(&arg["jsonPath"]).trim_start_matches("$.").to_owned();
                    let value = partial.entry(name).or_insert_with(|| "".into());
                    *value = (text(value).to_owned() + text(&arg["stringValue"])).into();
                    choice.calls.last_mut().unwrap().2 = Value::Object(partial.clone()).to_string();
                }
            }
            let stop = &candidate["finishReason"];
            if !stop.is_null() {
                choice.stop = Some(
                    stop.as_str()
                        .map_or_else(|| stop.to_string(), str::to_owned),
                );
            }
        }
    }
    said
}

fn cohere(jsons: &[Value]) -> Said {
    let mut choice = Choice::default();
    let mut usage = None;
    for json in jsons {
        // Version 1, whose last line has all of it once more.
        let is_end = json["event_type"] == "stream-end";
        choice.text += text(&json["text"]);
        let delta = &json["delta"]["message"];
        for message in [&json["message"], delta] {
            choice.reasoning += text(&message["tool_plan"]);
            let content = &message["content"];
            for part in content.as_array().into_iter().flatten().chain([content]) {
                choice.text += text(&part["text"]);
                choice.reasoning += text(&part["thinking"]);
            }
            for call in message["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
                .chain([&message["tool_calls"]])
            {
                let function = &call["function"];
                if json["type"] == "tool-call-delta" {
                    choice.calls.last_mut().unwrap().2 += text(&function["arguments"]);
                } else if function.is_object() {
                    choice.calls.push((
                        id(&call["id"]),
                        text(&function["name"]).to_owned(),
                        text(&function["arguments"]).to_owned(),
                    ));
                }
            }
        }
        let response = if is_end { &json["response"] } else { json };
        for stated in [
            &response["usage"],
            &json["delta"]["usage"],
            &response["meta"],
        ] {
            let Some(billed) = stated.get("billed_units") else {
                continue;
            };
            let output = billed["output_tokens"].as_u64().unwrap();
            let reasoning = stated["tokens"]["reasoning_tokens"].as_u64().unwrap_or(0);
            // What is billed comes first; the cache is part of the real input, not of the billed one.
            usage = Some([
                billed["input_tokens"].as_u64().unwrap(),
                0,
                output,
                reasoning.min(output),
            ]);
        }
        for stop in [&response["finish_reason"], &json["delta"]["finish_reason"]] {
            choice.stop = stop.as_str().map(str::to_owned).or(choice.stop.take());
        }
    }
    Said {
        choices: BTreeMap::from([(0, choice)]),
        usage,
        error: false,
    }
}

fn ollama(jsons: &[Value]) -> Said {
    let mut choice = Choice::default();
    let mut usage = None;
    for json in jsons {
        choice.text += text(&json["message"]["content"]);
        choice.text += text(&json["response"]);
        choice.reasoning += text(&json["message"]["thinking"]);
        for call in json["message"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let function = &call["function"];
            choice.calls.push((
                id(&call["id"]),
                text(&function["name"]).to_owned(),
                function["arguments"].to_string(),
            ));
        }
        if json["done"] == true {
            let count = |name: &str| json[name].as_u64().unwrap_or(0);
            usage = Some([count("prompt_eval_count"), 0, count("eval_count"), 0]);
            choice.stop = Some(text(&json["done_reason"]).to_owned());
        }
    }
    Said {
        choices: BTreeMap::from([(0, choice)]),
        usage,
        error: false,
    }
}

fn bedrock(jsons: &[Value]) -> Said {
    let mut choice = Choice::default();
    let mut usage = None;
    let mut open = BTreeMap::new();
    let null = Value::Null;
    for json in jsons {
        let delta = &json["contentBlockDelta"];
        let at = delta["contentBlockIndex"].as_u64();
        let blocks = json.pointer("/output/message/content").unwrap_or(&null);
        for block in blocks
            .as_array()
            .into_iter()
            .flatten()
            .chain([&delta["delta"]])
        {
            choice.text += text(&block["text"]);
            for cited in block["citationsContent"]["content"]
                .as_array()
                .into_iter()
                .flatten()
            {
                choice.text += text(&cited["text"]);
            }
            choice.reasoning += text(&block["reasoningContent"]["text"]);
            choice.reasoning += text(&block["reasoningContent"]["reasoningText"]["text"]);
            let tool = &block["toolUse"];
            if tool["toolUseId"].is_string() && tool["type"] != "server_tool_use" {
                choice.calls.push((
                    id(&tool["toolUseId"]),
                    text(&tool["name"]).to_owned(),
                    tool["input"].to_string(),
                ));
            }
            if let Some(at) = open.get(&at).copied() {
                let call: &mut (_, _, String) = &mut choice.calls[at];
                call.2 += text(&tool["input"]);
            }
        }
        let start = &json["contentBlockStart"];
        let tool = &start["start"]["toolUse"];
        if tool.is_object() && tool["type"] != "server_tool_use" {
            open.insert(start["contentBlockIndex"].as_u64(), choice.calls.len());
            choice.calls.push((
                id(&tool["toolUseId"]),
                text(&tool["name"]).to_owned(),
                String::new(),
            ));
        }
        for stop in [&json["stopReason"], &json["messageStop"]["stopReason"]] {
            choice.stop = stop.as_str().map(str::to_owned).or(choice.stop.take());
        }
        for stated in [&json["usage"], &json["metadata"]["usage"]] {
            if stated.is_object() {
                let count = |name: &str| stated[name].as_u64().unwrap_or(0);
                let cached = count("cacheReadInputTokens");
                let input = count("inputTokens") + cached + count("cacheWriteInputTokens");
                usage = Some([input, cached, count("outputTokens"), 0]);
            }
        }
    }
    Said {
        choices: BTreeMap::from([(0, choice)]),
        usage,
        error: false,
    }
}

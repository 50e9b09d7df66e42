//! What a recording says, read with nothing of this crate.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::said::{Choice, Said};
use crate::Record;

/// The form of what Bedrock invoked: that of the model's maker, where it is a chat.
pub(super) fn invoked(record: &Record) -> Option<&str> {
    let json: Value = serde_json::from_str(record.body()).ok()?;
    match record.api.as_str() {
        "bedrock-invoke" if json["type"] == "message" => Some("anthropic-messages"),
        "bedrock-invoke" if json["stopReason"].is_string() => Some("bedrock-converse"),
        "bedrock-invoke" if json["generation_id"].is_string() => Some("cohere-chat"),
        _ => None,
    }
}

/// What a recording says.
pub(super) fn original(record: &Record) -> Said {
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

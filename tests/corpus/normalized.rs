//! Recorded chat answers of every provider, normalised: what OpenAI's schema allows, and still what the model said.

use std::{collections::BTreeMap, fs};

use bytes::Bytes;
use serde_json::{Map, Value};
use tower_relay::normalize::Reasoning;

use super::{
    Record,
    normal::Normal,
    records,
    sent::{Cut, Sent},
    sse_data,
};

pub(super) const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/openai-schema/observed.schema.json"
);

#[test]
fn normalised_answers_are_what_openais_schema_allows() {
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
    let mut table = BTreeMap::<&str, ([usize; 4], BTreeMap<&str, usize>)>::new();
    let mut failed = Vec::new();
    for record in records.iter().filter(|record| is_chat(record)) {
        let sent = Sent::of(record);
        let (seen, repairs) = normalised(record, Cut::Whole);
        // Ids and times of our own differ from run to run; all else is held to be the same by the layer's own property test.
        let pieces = normalised(record, Cut::Every(7)).0;
        assert!(
            said(record, &read(record, &pieces)) == said(record, &read(record, &seen)),
            "{} in pieces",
            record.id
        );
        let repaired = repairs.clone();
        let row = table.entry(&record.provider).or_default();
        row.0[0] += 1;
        row.0[1] += usize::from(seen == sent.body);
        for repair in repairs {
            *row.1.entry(repair).or_default() += 1;
        }
        if record.provider == "openai" && !record.stream && seen != sent.body {
            failed.push(format!("{}: changed by {repaired:?}", record.id));
        }
        let jsons = read(record, &seen);
        if jsons.iter().any(states_error) {
            row.0[2] += 1;
            continue;
        }
        let validator = if record.stream { &chunk } else { &body };
        let faults: Vec<_> = jsons
            .iter()
            .flat_map(|json| validator.iter_errors(json))
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        if let Some(fault) = faults.first() {
            row.0[3] += 1;
            failed.push(format!("{}: {fault}", record.id));
        }
        let before = read(record, &sent.body);
        assert!(
            said(record, &jsons) == said(record, &before),
            "{}: other words",
            record.id
        );
    }
    println!(
        "{:<18} {:>7} {:>9} {:>6} {:>6}",
        "normalised", "records", "unchanged", "errors", "failed"
    );
    for (provider, ([all, unchanged, errors, failed], repairs)) in &table {
        println!("{provider:<18} {all:>7} {unchanged:>9} {errors:>6} {failed:>6} {repairs:?}");
    }
    assert!(
        failed.is_empty(),
        "{} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn is_chat(record: &Record) -> bool {
    record.is_success() && record.api == "openai-chat"
}

fn normalised(record: &Record, cut: Cut) -> (Bytes, Vec<&'static str>) {
    let normal = Normal::of(record, Reasoning::Keep, cut);
    (normal.body, normal.repairs)
}

fn read(record: &Record, body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    if !record.stream {
        return serde_json::from_str(&text).into_iter().collect();
    }
    let events = sse_data(&text).into_iter();
    events
        .filter_map(|data| serde_json::from_str(&data).ok())
        .collect()
}

fn states_error(json: &Value) -> bool {
    let choices = json["choices"].as_array();
    json["error"].is_object()
        || choices.is_some_and(|choices| choices.iter().any(|choice| choice["error"].is_object()))
}

/// All that the choices say: text, and the names and arguments of tools.
fn said(record: &Record, jsons: &[Value]) -> Map<String, Value> {
    let mut said = Map::new();
    let mut add = |what: String, text: &str| {
        let all = said.entry(what).or_insert_with(|| "".into());
        *all = (all.as_str().unwrap().to_owned() + text).into();
    };
    for (at, choice) in jsons
        .iter()
        .flat_map(|json| json["choices"].as_array().into_iter().flatten().enumerate())
    {
        let number = choice["index"].as_u64().unwrap_or(at as u64);
        let message = if record.stream {
            &choice["delta"]
        } else {
            &choice["message"]
        };
        match &message["content"] {
            Value::String(text) => add(format!("text {number}"), text),
            Value::Array(parts) => {
                for text in parts.iter().filter_map(|part| part["text"].as_str()) {
                    add(format!("text {number}"), text);
                }
            }
            _ => {}
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            for what in ["name", "arguments"] {
                if let Some(text) = call["function"][what].as_str() {
                    add(format!("{what} {number}"), text);
                }
            }
        }
    }
    said.retain(|_, text| *text != "");
    said
}

//! Recorded chat answers of every provider, normalised: what OpenAI's schema allows, and still what the model said. Recorded
//! errors of all: what its schema of an error allows.

use std::{collections::BTreeMap, fs};

use jsonschema::Validator;
use serde_json::{Map, Value};
use tower_relay::normalize::{Reasoning, conforms};

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
    let Some(schema) = Schema::read() else { return };
    let body = schema.of("CreateChatCompletionResponse");
    let chunk = schema.of("CreateChatCompletionStreamResponse");
    let error = schema.of("ErrorResponse");
    let mut table = Table::default();
    let mut failed = Vec::new();
    for record in records.iter().filter(|record| is_chat(record)) {
        let sent = Sent::of(record);
        let seen = Normal::of(record, &sent, Reasoning::Keep, Cut::Whole);
        // Ids and times of our own differ from run to run; all else is held to be the same by the layer's own property test.
        let pieces = Normal::of(record, &sent, Reasoning::Keep, Cut::Every(7)).body;
        assert!(
            said(record, &read(record, &pieces)) == said(record, &read(record, &seen.body)),
            "{} in pieces",
            record.id
        );
        if !record.stream && seen.status == 200 {
            // The fast path decides, and nothing else.
            let openai = record.provider == "openai" || sent.has_header("openai-version");
            let unchanged = seen.is_unchanged(&sent);
            assert!(openai || conforms(&sent.body) == unchanged, "{}", record.id);
        }
        let mut faults = Vec::new();
        if record.provider == "openai" && !seen.is_unchanged(&sent) {
            faults.push(format!("changed by {:?}", seen.repairs));
        }
        let jsons = read(record, &seen.body);
        let before = read(record, &sent.body);
        let is_error = before.iter().any(states_error);
        for json in &jsons {
            let validator = match (json.get("error").is_some(), record.stream) {
                (true, _) if is_error => &error,
                (_, true) => &chunk,
                (_, false) => &body,
            };
            let errors = validator.iter_errors(json);
            faults.extend(errors.map(|error| format!("{error} at {}", error.instance_path())));
        }
        if is_error {
            assert!(jsons.iter().any(states_error), "{}", record.id);
            assert!(record.stream || seen.status >= 400, "{}", record.id);
            assert!(!seen.ends_with_done(), "{}", record.id);
        } else {
            assert!(
                mapped(said(record, &jsons), true)
                    == mapped(said(record, &before), record.provider == "openai"),
                "{}: other words",
                record.id
            );
        }
        table.add(record, &sent, &seen, is_error, !faults.is_empty());
        failed.extend(
            faults
                .first()
                .map(|fault| format!("{}: {fault}", record.id)),
        );
    }
    table.print("normalised");
    assert!(
        failed.is_empty(),
        "{} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn normalised_errors_are_what_openais_schema_allows() {
    let Some(records) = records() else { return };
    let Some(schema) = Schema::read() else { return };
    let error = schema.of("ErrorResponse");
    let mut table = Table::default();
    for record in records.iter().filter(|record| record.status >= 400) {
        let sent = Sent::of(record);
        let seen = Normal::of(record, &sent, Reasoning::Keep, Cut::Whole);
        let json: Value = serde_json::from_slice(&seen.body).unwrap();
        assert!(error.is_valid(&json), "{}: {json}", record.id);
        assert!(
            matches!(
                seen.status,
                400 | 401 | 403 | 404 | 408 | 409 | 413 | 422 | 429 | 500..=504
            ),
            "{}: {}",
            record.id,
            seen.status
        );
        let again = Sent::json(seen.status, &seen.body);
        let twice = Normal::of(record, &again, Reasoning::Keep, Cut::Whole);
        assert!(
            (twice.status, &twice.body) == (seen.status, &seen.body),
            "{}: {} then {} {:?}",
            record.id,
            seen.status,
            twice.status,
            twice.body
        );
        table.add(record, &sent, &seen, true, false);
    }
    table.print("errors");
}

/// OpenAI's schemas, as far as they are there.
struct Schema(Value);

impl Schema {
    fn read() -> Option<Self> {
        let text = fs::read_to_string(SCHEMA);
        if text.is_err() {
            println!("skipped: no schema at {SCHEMA}");
        }
        Some(Self(serde_json::from_str(&text.ok()?).unwrap()))
    }

    fn of(&self, name: &str) -> Validator {
        let mut schema = self.0.clone();
        schema["$ref"] = format!("#/$defs/{name}").into();
        jsonschema::validator_for(&schema).unwrap()
    }
}

/// What came of each provider's records: how many, unchanged, errors, failed; and how many needed each repair.
#[derive(Default)]
struct Table<'a>(BTreeMap<&'a str, ([usize; 4], BTreeMap<&'static str, usize>)>);

impl<'a> Table<'a> {
    fn add(&mut self, record: &'a Record, sent: &Sent, seen: &Normal, error: bool, failed: bool) {
        let (counts, repairs) = self.0.entry(&record.provider).or_default();
        let these = [true, seen.is_unchanged(sent), error, failed];
        for (count, this) in counts.iter_mut().zip(these) {
            *count += usize::from(this);
        }
        for repair in &seen.repairs {
            *repairs.entry(repair).or_default() += 1;
        }
    }

    fn print(&self, what: &str) {
        println!(
            "{what:<18} {:>7} {:>9} {:>6} {:>6}",
            "records", "unchanged", "errors", "failed"
        );
        let mut sums = [0; 4];
        for (provider, (counts, repairs)) in &self.0 {
            let [all, unchanged, errors, failed] = counts;
            println!("{provider:<18} {all:>7} {unchanged:>9} {errors:>6} {failed:>6} {repairs:?}");
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        let [all, unchanged, errors, failed] = sums;
        println!(
            "{:<18} {all:>7} {unchanged:>9} {errors:>6} {failed:>6}",
            "all"
        );
    }
}

fn is_chat(record: &Record) -> bool {
    record.is_success() && record.api == "openai-chat"
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

/// The end that OpenAI would have stated, for what was stated: a second reading of the same facts.
fn mapped(mut said: Map<String, Value>, openai: bool) -> Map<String, Value> {
    let numbers: Vec<_> = said
        .keys()
        .filter_map(|what| what.split_once(' '))
        .collect();
    let numbers: Vec<_> = numbers
        .iter()
        .map(|(_, number)| (*number).to_owned())
        .collect();
    for number in numbers {
        let calls = said.contains_key(&format!("calls {number}"));
        let word = said
            .get(&format!("finish {number}"))
            .and_then(Value::as_str);
        let word = match word.unwrap_or("stop") {
            "stop" | "eos" | "end_turn" if calls && !openai => "tool_calls",
            "eos" | "end_turn" => "stop",
            "max_tokens" => "length",
            word => word,
        };
        said.insert(format!("finish {number}"), word.into());
    }
    said
}

/// All that the choices say: text, and the names and arguments of tools.
fn said(record: &Record, jsons: &[Value]) -> Map<String, Value> {
    let (mut said, mut ends) = (Map::new(), Map::new());
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
        if let Some(word) = choice["finish_reason"]
            .as_str()
            .filter(|word| !word.is_empty())
        {
            ends.insert(format!("finish {number}"), word.into());
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            add(format!("calls {number}"), "1");
            for what in ["name", "arguments"] {
                if let Some(text) = call["function"][what].as_str() {
                    add(format!("{what} {number}"), text);
                }
            }
        }
    }
    said.retain(|_, text| *text != "");
    said.append(&mut ends);
    said
}

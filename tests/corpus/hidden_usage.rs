//! Whoever did not ask for usage sees the stream that they would have seen had nobody asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tower_relay::message::{HideUsage, RequestBody, require_usage};

use super::{
    Record, records,
    sent::{Cut, Sent, collect},
    sse_data,
};

#[test]
fn what_the_asking_caused_is_gone_and_nothing_else() {
    let Some(records) = records() else { return };
    let mut table = BTreeMap::<&str, [usize; 4]>::new();
    for record in chat_streams(&records).filter(|record| asked(record)) {
        let sent = Sent::of(record);
        let seen = hidden(record, &sent);
        let row = table.entry(&record.provider).or_default();
        row[0] += 1;
        let mut got = events(&seen).into_iter();
        for mut event in events(&sent.body) {
            row[1] += 1;
            if event.is_usage_alone() {
                row[2] += 1;
                continue;
            }
            let got = got.next().expect("no event too few");
            if event.has_usage_null() {
                row[3] += 1;
                event.json.as_object_mut().unwrap().remove("usage");
                assert_eq!(got.json, event.json, "{}", record.id);
            } else {
                assert_eq!(got.raw, event.raw, "{}", record.id);
            }
            assert!(!got.is_of_the_asking(), "{}: {}", record.id, got.raw);
        }
        assert_eq!(got.next().map(|event| event.raw), None, "{}", record.id);
        assert_eq!(text(&seen), text(&sent.body), "{}", record.id);
    }
    println!(
        "{:<18} {:>7} {:>7} {:>12} {:>11}",
        "usage hidden", "streams", "events", "usage chunks", "usage:null"
    );
    let mut all = [0; 4];
    for (provider, row) in &table {
        print_row(provider, *row);
        all = std::array::from_fn(|column| all[column] + row[column]);
    }
    print_row("all", all);
    assert!(all[2] > 0 && all[3] > 0, "nothing to hide");
}

fn print_row(name: &str, [streams, events, chunks, nulls]: [usize; 4]) {
    println!("{name:<18} {streams:>7} {events:>7} {chunks:>12} {nulls:>11}");
}

#[test]
fn a_stream_without_the_asking_passes_as_it_came() {
    let Some(records) = records() else { return };
    let (mut same, mut like_asked) = (0, Vec::new());
    for record in chat_streams(&records).filter(|record| !asked(record)) {
        let sent = Sent::of(record);
        let seen = hidden(record, &sent);
        if events(&sent.body).iter().any(Event::is_of_the_asking) {
            like_asked.push(record.id.as_str());
        } else {
            assert_eq!(seen, sent.body, "{}", record.id);
            same += 1;
        }
    }
    println!("not asked for usage: {same} streams unchanged; as if asked: {like_asked:?}");
    assert!(same > 0);
}

/// The other half of each pair is made: what the same provider sends to whom asked.
#[test]
fn a_stream_is_the_same_with_the_asking_as_without() {
    let Some(records) = records() else { return };
    let (mut pairs, mut added) = (0, 0);
    for record in chat_streams(&records) {
        let mut sent = Sent::of(record);
        let without = hidden(record, &sent);
        let mut with = String::new();
        for (number, event) in events(&without).into_iter().enumerate() {
            if event.raw.contains("data: [DONE]") {
                with += "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
                added += 1;
            }
            let is_chunk = event.json["choices"].is_array() && event.json.get("usage").is_none();
            let event = match (is_chunk, number % 2) {
                (false, _) => event.raw,
                (true, 0) => event.raw.replacen('{', "{\"usage\": null,", 1),
                (true, _) => {
                    let end = event.raw.rfind('}').unwrap();
                    let (head, tail) = event.raw.split_at(end);
                    format!("{head},\"usage\":null{tail}")
                }
            };
            with += &event;
            added += usize::from(is_chunk);
        }
        sent.body = Bytes::from(with);
        assert_eq!(hidden(record, &sent), without, "{}", record.id);
        pairs += 1;
    }
    println!("pairs with and without the asking: {pairs}, of {added} additions");
}

/// The streams of the APIs that have the option.
fn chat_streams(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| {
        record.is_success()
            && record.stream
            && matches!(&*record.api, "openai-chat" | "openai-completions")
    })
}

/// Whether whoever was recorded asked for usage. Where the request was not kept, the answer is taken for one nobody asked.
fn asked(record: &Record) -> bool {
    let option = |request: &Value| request["stream_options"]["include_usage"] == true;
    record.request().is_some_and(option)
}

/// What of `sent` reaches a caller who asked as was recorded, but not for usage; the same in any pieces.
fn hidden(record: &Record, sent: &Sent) -> Bytes {
    let [whole, pieces] = [Cut::Whole, Cut::Every(7)]
        .map(|cut| collect(hide(record).hide(sent.response(cut)).into_body()));
    assert_eq!(whole, pieces, "{}", record.id);
    whole
}

fn hide(record: &Record) -> HideUsage {
    let request = record.request().filter(|request| request.is_object());
    let mut body = request.cloned().unwrap_or_else(|| json!({}));
    let members = body.as_object_mut().unwrap();
    members.remove("stream_options");
    members.insert("stream".into(), true.into());
    let mut request = Request::post("/v1/chat/completions")
        .body(RequestBody::json(body.to_string()))
        .unwrap();
    let hide = require_usage(&mut request).unwrap();
    let sent: Value = serde_json::from_slice(request.body().as_bytes().unwrap()).unwrap();
    body["stream_options"] = json!({"include_usage": true});
    assert_eq!(sent, body, "{}", record.id);
    hide.expect("usage that nobody asked for")
}

struct Event {
    raw: String,
    /// `null` for a comment and for `[DONE]`.
    json: Value,
}

impl Event {
    /// OpenAI's extra chunk at the end of a stream.
    fn is_usage_alone(&self) -> bool {
        self.json["choices"] == json!([]) && self.json["usage"].is_object()
    }

    fn has_usage_null(&self) -> bool {
        self.json.get("usage").is_some_and(Value::is_null)
    }

    fn is_of_the_asking(&self) -> bool {
        self.is_usage_alone() || self.has_usage_null()
    }
}

fn events(stream: &[u8]) -> Vec<Event> {
    let text = String::from_utf8(stream.to_vec()).unwrap();
    let blank = if text.contains("\r\n\r\n") {
        "\r\n\r\n"
    } else {
        "\n\n"
    };
    let event = |raw: &str| Event {
        raw: raw.to_owned(),
        json: serde_json::from_str(&sse_data(raw).concat()).unwrap_or_default(),
    };
    text.split_inclusive(blank).map(event).collect()
}

/// All that a model said in a stream.
fn text(stream: &[u8]) -> String {
    let events = events(stream);
    let choices = events
        .iter()
        .filter_map(|event| event.json["choices"].as_array())
        .flatten();
    let parts = |choice: &Value| {
        let delta = &choice["delta"];
        [&choice["text"], &delta["content"], &delta["tool_calls"]].map(Value::to_string)
    };
    choices.flat_map(parts).collect()
}

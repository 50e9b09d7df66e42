//! What chat answers say, by a reader that shares nothing with the crate's, before and after they were normalised.

use std::collections::BTreeMap;

use serde_json::Value;
use tower_relay::normalize::Reasoning;

use super::{
    Record,
    normal::Normal,
    records,
    sent::{Cut, Sent},
    sse_data,
};

/// One choice of an answer, put together.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    thought: String,
    calls: Vec<Call>,
    /// In OpenAI's words.
    reason: Option<String>,
}

#[derive(Debug, PartialEq)]
struct Call {
    name: String,
    /// Parsed, where they can be: spacing is no matter.
    arguments: Result<Value, String>,
}

#[test]
fn what_an_answer_says_is_the_same_after_it_was_normalised() {
    let Some(records) = records() else { return };
    let mut table = BTreeMap::<&str, [usize; 5]>::new();
    let mut wrong = Vec::new();
    for record in records.iter().filter(|record| is_chat(record)) {
        let sent = Sent::of(record);
        let Some(before) = said(record, &sent.body, &spoken) else {
            continue;
        };
        for reasoning in [Reasoning::Keep, Reasoning::Unify] {
            let normal = Normal::of(record, &sent, reasoning, Cut::Whole);
            let thought: &dyn Fn(&Value) -> String = match reasoning {
                Reasoning::Keep => &spoken,
                _ => &|message| {
                    message["reasoning_content"]
                        .as_str()
                        .unwrap_or_default()
                        .into()
                },
            };
            let after = said(record, &normal.body, thought);
            if after.as_ref() != Some(&before) {
                wrong.push(format!(
                    "{} ({reasoning:?}):\n  {before:?}\n  {after:?}",
                    record.id
                ));
            }
        }
        let row = table.entry(&record.provider).or_default();
        row[0] += 1;
        row[1] += usize::from(before.values().any(|said| !said.text.is_empty()));
        row[2] += usize::from(before.values().any(|said| !said.calls.is_empty()));
        row[3] += usize::from(before.values().any(|said| !said.thought.is_empty()));
        row[4] += usize::from(before.values().all(|said| said.reason.is_some()));
    }
    println!(
        "{:<18} {:>7} {:>6} {:>6} {:>9} {:>8}",
        "the same said", "answers", "text", "calls", "thoughts", "reasons"
    );
    for (provider, [all, text, calls, thoughts, reasons]) in &table {
        println!("{provider:<18} {all:>7} {text:>6} {calls:>6} {thoughts:>9} {reasons:>8}");
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

fn is_chat(record: &Record) -> bool {
    record.is_success() && record.api == "openai-chat"
}

/// All choices of an answer by their number; `None` where it is an error, whole or at last.
fn said(
    record: &Record,
    body: &[u8],
    thought: &dyn Fn(&Value) -> String,
) -> Option<BTreeMap<u64, Said>> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let texts = if record.stream {
        sse_data(&text)
    } else {
        vec![text]
    };
    // A body, or a stream that says that it has ended, gives a reason even where the provider gave none.
    let is_whole = !record.stream
        || record.provider != "openai" && texts.iter().any(|text| text.trim() == "[DONE]");
    let mut all = BTreeMap::<u64, (Said, Vec<Fragment>, String)>::new();
    for json in texts
        .iter()
        .filter_map(|text| serde_json::from_str::<Value>(text).ok())
    {
        if !json["error"].is_null() {
            return None;
        }
        for (at, choice) in json["choices"].as_array()?.iter().enumerate() {
            if !choice["error"].is_null() {
                return None;
            }
            let number = choice["index"].as_u64().unwrap_or(at as u64);
            let (said, fragments, word) = all.entry(number).or_default();
            let message = &choice[if record.stream { "delta" } else { "message" }];
            said.text += &content(message);
            said.thought += &thought(message);
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                fragments.push(Fragment::of(call));
            }
            if let Some(reason) = choice["finish_reason"]
                .as_str()
                .filter(|word| !word.is_empty())
            {
                reason.clone_into(word);
            }
        }
    }
    let finished = all
        .into_iter()
        .map(|(number, (mut said, fragments, word))| {
            said.calls = calls(fragments, record.stream);
            let is_told = is_whole || !word.is_empty();
            said.reason = is_told.then(|| reason(record, &word, !said.calls.is_empty()));
            (number, said)
        });
    Some(finished.collect())
}

fn content(message: &Value) -> String {
    let Some(parts) = message["content"].as_array() else {
        return message["content"].as_str().unwrap_or_default().to_owned();
    };
    let texts = parts.iter().filter(|part| part["type"] == "text");
    texts.filter_map(|part| part["text"].as_str()).collect()
}

/// What was thought, by whichever name.
fn spoken(message: &Value) -> String {
    let names = ["reasoning_content", "reasoning", "reasoning_text"];
    let named = names.iter().filter_map(|name| message[*name].as_str());
    let mut thought = named
        .into_iter()
        .find(|thought| !thought.is_empty())
        .unwrap_or_default()
        .to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    if thought.is_empty() {
        for detail in list(&message["reasoning_details"]) {
            let text = detail["text"].as_str().or(detail["summary"].as_str());
            thought += text.unwrap_or_default();
        }
    }
    for part in list(&message["content"]) {
        for piece in list(&part["thinking"]) {
            thought += piece["text"].as_str().unwrap_or_default();
        }
    }
    thought
}

struct Fragment {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Fragment {
    fn of(call: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let arguments = &call["function"]["arguments"];
        Self {
            index: call["index"].as_u64(),
            id: text(&call["id"]),
            name: text(&call["function"]["name"]),
            arguments: match arguments {
                Value::Object(_) => arguments.to_string(),
                _ => text(arguments),
            },
        }
    }
}

/// Fragments of one index are one call; without an index, an id or a name begins one.
fn calls(fragments: Vec<Fragment>, in_stream: bool) -> Vec<Call> {
    let mut whole: Vec<Fragment> = Vec::new();
    for fragment in fragments {
        let same = whole.iter_mut().rev().find(|call| {
            in_stream
                && match fragment.index {
                    Some(index) => call.index == Some(index),
                    None => fragment.id.is_empty() && fragment.name.is_empty(),
                }
        });
        match same {
            Some(call) => {
                call.name += &fragment.name;
                call.arguments += &fragment.arguments;
            }
            None => whole.push(fragment),
        }
    }
    let call = |fragment: Fragment| Call {
        name: fragment.name,
        arguments: serde_json::from_str(&fragment.arguments).map_err(|_| fragment.arguments),
    };
    whole.into_iter().map(call).collect()
}

/// OpenAI's word for a reason, by the table of what providers send.
fn reason(record: &Record, word: &str, called: bool) -> String {
    const STOP: &str = "stop eos eos_token end_turn stop_sequence STOP COMPLETE complete completed";
    const LENGTH: &str = "length max_tokens MAX_TOKENS model_length max_output_tokens \
        model_context_window_exceeded token_limit compaction pause_turn";
    const FILTER: &str = "content_filter content_filtered refusal SAFETY RECITATION sensitive";
    let is_in = |words: &str| words.split_whitespace().any(|known| known == word);
    let openai = record.provider == "openai";
    match () {
        () if is_in(LENGTH) => "length".to_owned(),
        () if is_in(FILTER) => "content_filter".to_owned(),
        () if word == "tool_calls" || word == "tool_use" => "tool_calls".to_owned(),
        () if word.is_empty() || is_in(STOP) => {
            let reason = if called && !openai {
                "tool_calls"
            } else {
                "stop"
            };
            reason.to_owned()
        }
        () => word.to_owned(),
    }
}

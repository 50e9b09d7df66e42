//! Recorded answers of real providers, read by this crate and by independent readers written from the facts.
//!
//! The recordings are not part of this repository. `RELAY_CORPUS` names a folder of `*.jsonl` files, one record a line:
//! `{id, provider, api, endpoint, stream, status, request, response: {headers, body | body_b64 [, decoded_events]},
//! source: {fidelity [, chunk_end_offsets]}}`. Without it `../shared/corpus` is tried; where that is absent too, the tests
//! say so and pass.
//!
//! ```sh
//! RELAY_CORPUS=DIR cargo test --test corpus -- --nocapture
//! ```
//!
//! With `RELAY_CORPUS_OUT=DIR` what was read is also written down, for others to check: see `rows`.
#![cfg(test)]

mod completions;
mod costs;
mod ends;
mod errors;
mod estimate;
mod guarded;
mod hidden_usage;
mod native;
mod normal;
mod normalized;
mod other_apis;
mod rows;
mod said;
mod sent;
mod usage;

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One recorded request and answer.
#[derive(Deserialize)]
struct Record {
    id: String,
    provider: String,
    api: String,
    stream: bool,
    status: u16,
    request: Question,
    response: Answer,
    source: Source,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    body: Option<Value>,
}

#[derive(Deserialize)]
struct Answer {
    headers: BTreeMap<String, String>,
    /// Absent where the body is binary; what was decoded from it is in `decoded_events`.
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    body_b64: Option<String>,
    #[serde(default)]
    decoded_events: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Source {
    fidelity: String,
    /// Where each read of the network ended, in bytes of the body.
    #[serde(default)]
    chunk_end_offsets: Option<Vec<usize>>,
}

impl Record {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn request(&self) -> Option<&Value> {
        self.request.body.as_ref()
    }

    fn body(&self) -> &str {
        self.response.body.as_deref().unwrap_or_default()
    }

    /// Whether the answer came as events, whatever the request asked for.
    fn is_events(&self) -> bool {
        self.stream
            || self.response.decoded_events.is_some()
            || serde_json::from_str::<Value>(self.body()).is_err()
    }

    /// The data of every event, split in the most naive way there is.
    fn events(&self) -> Vec<String> {
        if let Some(frames) = &self.response.decoded_events {
            return frames
                .iter()
                .map(|frame| frame["payload"].to_string())
                .collect();
        }
        if let Ok(Value::Array(chunks)) = serde_json::from_str(self.body()) {
            return chunks.iter().map(Value::to_string).collect();
        }
        let text = self.body();
        let is_sse = text.lines().any(|line| line.starts_with("data:"));
        if !is_sse || self.lost_its_framing() {
            return text.lines().map(str::to_owned).collect();
        }
        sse_data(text)
    }

    /// Whether the recording kept of each event only its JSON.
    fn lost_its_framing(&self) -> bool {
        self.source.fidelity.starts_with("one-event-json-per-line")
    }
}

/// The data of every server-sent event, one entry for each run of lines between blank ones.
fn sse_data(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split("\n\n")
        .map(|frame| {
            let data = frame.lines().filter_map(|line| line.strip_prefix("data:"));
            data.map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect()
}

/// Every record, or `None` where there is no corpus.
fn records() -> Option<Vec<Record>> {
    let folder = env::var_os("RELAY_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")),
        PathBuf::from,
    );
    let Ok(files) = fs::read_dir(&folder) else {
        println!("skipped: no corpus at {}", folder.display());
        return None;
    };
    let mut paths: Vec<_> = files
        .map(|file| file.expect("a readable folder").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    paths.sort();
    let mut records = Vec::new();
    for path in paths {
        let lines = fs::read_to_string(&path).expect("a readable file");
        for line in lines.lines() {
            records.push(
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            );
        }
    }
    assert!(!records.is_empty(), "no records in {}", folder.display());
    Some(records)
}

//! What scripts are made of.

use std::time::Duration;

use crate::suite::{
    answer,
    script::{Call, Data, Often, Payload, Step},
};

/// A reset overtakes what the other end has not read yet: as long is waited before it.
pub(super) const ARRIVAL: Duration = Duration::from_millis(300);

/// Waits until what was sent has been read.
pub(super) fn arrived() -> Step {
    Step::WaitMs(300)
}

/// A head of these lines.
pub(super) fn head<const N: usize>(lines: [&str; N]) -> Step {
    Step::Head(lines.map(str::to_owned).to_vec())
}

/// The head of an answer in chunks.
pub(super) fn chunked(content_type: &str) -> Step {
    let content_type = format!("content-type: {content_type}");
    head([
        "HTTP/1.1 200 OK",
        &content_type,
        "transfer-encoding: chunked",
    ])
}

/// The head of a stream.
pub(super) fn stream_head() -> Step {
    chunked("text/event-stream")
}

/// A stream of these events, with these steps after them.
pub(super) fn stream<const N: usize>(events: &[String], then: [Step; N]) -> Call {
    let mut call = vec![stream_head()];
    call.extend(events.iter().map(|event| chunk(event)));
    call.extend(then);
    call
}

/// The first `count` events of the stream that should be.
pub(super) fn first(count: usize) -> Vec<String> {
    let mut events = answer::events();
    events.truncate(count);
    events
}

/// A whole answer that is not streamed, with a length.
pub(super) fn whole(lines: &[&str], body: &str) -> Call {
    let length = format!("content-length: {}", body.len());
    let lines = lines.iter().copied().chain([length.as_str()]);
    vec![
        Step::Head(lines.map(str::to_owned).collect()),
        Step::Send(body.into()),
    ]
}

/// An error that a provider states in JSON.
pub(super) fn error(status: &str, headers: &[&str], kind: &str, code: &str, message: &str) -> Call {
    let body = serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    let first = format!("HTTP/1.1 {status}");
    let mut lines = vec![first.as_str(), "content-type: application/json"];
    lines.extend(headers);
    whole(&lines, &body.to_string())
}

/// The answer in JSON, of which the first half is sent.
pub(super) fn half<const N: usize>(then: [Step; N]) -> Call {
    let json = answer::json(&answer::text());
    let half = json.get(..json.len() / 2).unwrap_or_default();
    let mut call = vec![chunked("application/json"), chunk(half)];
    call.extend(then);
    call
}

pub(super) fn chunk(text: &str) -> Step {
    Step::Chunk(text.into())
}

pub(super) fn send(text: &str) -> Step {
    Step::Send(text.into())
}

/// 64 KiB of text in a chunk, so many times.
pub(super) fn chunks(times: u64) -> Step {
    Step::Chunk(Payload::Often(Often {
        data: Data::Text("x".repeat(64 << 10)),
        times,
        every_ms: 0,
        per_byte_ms: 0,
    }))
}

/// Text, a byte a second, over and over.
pub(super) fn drip(text: &str) -> Step {
    Step::Send(Payload::Often(Often {
        data: Data::Text(text.to_owned()),
        times: 100,
        every_ms: 0,
        per_byte_ms: 1_000,
    }))
}

//! The answer that an upstream gives when nothing is wrong with it.

use serde_json::{Value, json};

/// What it says, in the pieces in which a stream says it.
pub(crate) const PIECES: [&str; 4] = ["Hello", " from", " the", " upstream."];

/// What it says.
pub(crate) fn text() -> String {
    PIECES.concat()
}

/// The body of an answer that is not streamed, saying `text`.
pub(crate) fn json(text: &str) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": "fault-1",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": null, "annotations": []},
            "logprobs": null, "finish_reason": "stop"
        }],
        "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    })
    .to_string()
}

/// The event that opens a stream, and says nothing.
pub(crate) fn opening() -> String {
    event(&json!({"role": "assistant", "content": ""}), &Value::Null)
}

/// The event with a piece of the text.
pub(crate) fn piece(text: &str) -> String {
    event(&json!({"content": text}), &Value::Null)
}

/// The event with the finish reason.
pub(crate) fn finish() -> String {
    event(&json!({}), &json!("stop"))
}

/// The event after which nothing follows.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// The events of a stream.
pub(crate) fn events() -> Vec<String> {
    let mut events = vec![opening()];
    events.extend(PIECES.map(piece));
    events.extend([finish(), DONE.to_owned()]);
    events
}

fn event(delta: &Value, finish_reason: &Value) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "fault-1",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]
    });
    format!("data: {chunk}\n\n")
}

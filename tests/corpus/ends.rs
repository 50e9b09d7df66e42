//! A second reader of how answers end, which shares nothing with the crate's: it splits naively and walks whole values.

use serde_json::Value;
use tower_relay::message::{End, Failure};

use super::{Record, sent::Sent, sse_data};

/// What stands in a stream.
#[derive(Default)]
pub(super) struct Seen {
    /// The event after which nothing follows.
    pub(super) terminal: bool,
    finish_reason: bool,
    pub(super) error: bool,
}

impl Seen {
    pub(super) fn of(sent: &Sent) -> Self {
        let mut seen = Self::default();
        let text = String::from_utf8_lossy(&sent.body);
        let events = if sent.is_lines() {
            text.lines().map(str::to_owned).collect()
        } else {
            sse_data(&text)
        };
        for data in events {
            if data.trim() == "[DONE]" {
                seen.terminal = true;
                continue;
            }
            // An event that broke off says nothing.
            let Ok(event) = serde_json::from_str::<Value>(&data) else {
                continue;
            };
            let name = event["type"].as_str();
            seen.terminal |= event["done"] == true || event["is_finished"] == true;
            seen.terminal |= matches!(
                name,
                Some(
                    "message_stop"
                        | "response.completed"
                        | "response.incomplete"
                        | "response.failed"
                )
            );
            let finishes = seen.terminal || is_finish(&event);
            seen.finish_reason |= finishes;
            let choices = event["choices"].as_array();
            seen.error |= name == Some("error")
                || name == Some("response.failed")
                || !event["error"].is_null()
                || choices
                    .into_iter()
                    .flatten()
                    .any(|choice| !choice["error"].is_null());
            if seen.terminal || seen.error {
                break;
            }
        }
        seen
    }
}

/// Whether an event says why the model stopped, in any of the recorded APIs.
fn is_finish(event: &Value) -> bool {
    let is_reason = |reason: &Value| !reason.is_null() && reason != "" && reason != "in_progress";
    let all = |list: &str, member: &str| {
        let items = event[list].as_array().into_iter().flatten();
        items.map(|item| item[member].clone()).collect::<Vec<_>>()
    };
    let mut reasons = all("choices", "finish_reason");
    reasons.extend(all("candidates", "finishReason"));
    reasons.extend(
        [
            "/delta/stop_reason",
            "/delta/finish_reason",
            "/stopReason",
            "/messageStop/stopReason",
            "/interaction/status",
        ]
        .iter()
        .filter_map(|path| event.pointer(path).cloned()),
    );
    reasons.iter().any(is_reason)
}

/// How a stream that ends here has ended.
pub(super) fn expected_end(sent: &Sent) -> End {
    let seen = Seen::of(sent);
    match () {
        () if seen.error => End::Failed(Failure::Stated),
        () if seen.terminal || seen.finish_reason => End::Complete,
        () => End::Failed(Failure::Truncated),
    }
}

/// Whether a body that is no stream is an error.
pub(super) fn error_in_body(record: &Record) -> bool {
    serde_json::from_str::<Value>(record.body()).is_ok_and(|body| {
        let choices = body["choices"].as_array();
        !body["error"].is_null()
            || body["type"] == "error"
            || choices
                .into_iter()
                .flatten()
                .any(|choice| !choice["error"].is_null())
    })
}

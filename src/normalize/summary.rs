//! The small normal form of an answer.

mod gist;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;

use self::gist::Gist;
use crate::{
    message::{ApiError, MAX_JSON, Served, usage::Usage},
    wire::{ndjson, sse},
};

/// What most applications want of a chat answer, whoever gave it, and no more.
///
/// It is read from what a [`ResponseNormalizeLayer`](super::ResponseNormalizeLayer) lets through, and as well from what any provider
/// sent without one: OpenAI's form with its many deviations, and the other APIs that the layer knows.
///
/// ```
/// use std::time::Duration;
/// use tower_relay::{message::Served, normalize::ChatSummary};
///
/// let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5",
///     "content":[{"type":"text","text":"Hello!"}],"stop_reason":"end_turn",
///     "usage":{"input_tokens":9,"output_tokens":3}}"#;
/// let summary = ChatSummary::of_body(body)?
///     .served_by(&Served::by("anthropic".into()))
///     .with_latency(Duration::from_millis(420));
/// assert_eq!((&*summary.id, &*summary.model), ("msg_1", "claude-sonnet-4-5"));
/// assert_eq!(summary.content, "Hello!");
/// assert_eq!(summary.finish_reason.as_deref(), Some("stop"));
/// assert_eq!(summary.usage.unwrap().total(), 12);
/// assert_eq!(summary.upstream.as_deref(), Some("anthropic"));
/// # Ok::<(), tower_relay::message::ApiError>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatSummary {
    /// The answer's id; empty where it has none.
    pub id: String,
    /// The model that the answer names, or else the one that [served](Self::served_by); empty where neither is known.
    pub model: String,
    /// When the answer was made, in seconds since the epoch; `None` where it does not say.
    pub created: Option<u64>,
    /// The text of the first choice; empty where there is none, as beside a tool call.
    pub content: String,
    /// The tokens that were used; `None` where the answer states none.
    pub usage: Option<Usage>,
    /// Why the first choice ended, in OpenAI's words, `tool_calls` wherever tools were called; for a failure the provider's own
    /// word. `None` where the answer does not say, as one that broke off.
    pub finish_reason: Option<Box<str>>,
    /// The name of the upstream that [served](Self::served_by).
    pub upstream: Option<Arc<str>>,
    /// How long the answer took, by [whoever measured](Self::with_latency).
    pub latency: Option<Duration>,
}

impl ChatSummary {
    /// Reads a JSON body.
    ///
    /// # Errors
    ///
    /// The error that the answer states; or, where it is no chat answer, one of status 502 and code `no_chat_answer`.
    pub fn of_body(json: &[u8]) -> Result<Self, ApiError> {
        let mut gist = Gist::default();
        gist.body(json)?;
        gist.summary()
    }

    /// Reads a whole stream as it was collected: server-sent events, or JSON lines.
    ///
    /// ```
    /// use tower_relay::normalize::ChatSummary;
    ///
    /// let stream = b"data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n\
    ///     data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"eos\"}]}\n\n\
    ///     data: [DONE]\n\n";
    /// let summary = ChatSummary::of_stream(stream)?;
    /// assert_eq!(summary.content, "Hello");
    /// assert_eq!(summary.finish_reason.as_deref(), Some("stop"));
    /// # Ok::<(), tower_relay::message::ApiError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`of_body`](Self::of_body); also where an event is longer than 16 MiB.
    pub fn of_stream(stream: &[u8]) -> Result<Self, ApiError> {
        let mut gist = Gist::default();
        // A framer lends slices of a chunk that it may keep.
        let chunk = Bytes::copy_from_slice(stream);
        let cap = MAX_JSON;
        if stream.trim_ascii_start().starts_with(b"{") {
            let mut framer = ndjson::Framer::with_cap(cap);
            let mut lines = framer.push(&chunk);
            while let Some(line) = lines.next().map_err(|_| not_read())? {
                gist.event(None, line.json())?;
            }
            drop(lines);
            if let Some(line) = framer.finish().map_err(|_| not_read())? {
                gist.last_event(None, line.json())?;
            }
        } else {
            let mut framer = sse::Framer::with_cap(cap);
            let mut frames = framer.push(&chunk);
            while let Some(frame) = frames.next().map_err(|_| not_read())? {
                if let Some(data) = frame.data() {
                    gist.event(frame.event(), &data)?;
                }
            }
            drop(frames);
            if let Some(frame) = framer.finish().map_err(|_| not_read())?
                && let Some(data) = frame.data()
            {
                gist.last_event(frame.event(), &data)?;
            }
        }
        gist.summary()
    }

    /// Adds who answered, from the response's extensions; its model too, where the answer names none.
    #[must_use]
    pub fn served_by(mut self, served: &Served) -> Self {
        self.upstream = Some(Arc::clone(&served.upstream));
        if self.model.is_empty()
            && let Some(model) = &served.model
        {
            (**model).clone_into(&mut self.model);
        }
        self
    }

    /// Adds how long the answer took.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }
}

fn not_read() -> ApiError {
    let message = "the upstream's answer is not a chat completion";
    ApiError::new(StatusCode::BAD_GATEWAY, "server_error", message).with_code("no_chat_answer")
}

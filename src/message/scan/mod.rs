//! What an answer says of itself, read once while it passes.

mod body;
mod output;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use memchr::memmem;
use serde::de::IgnoredAny;

use self::body::BodyScan;
use super::{ApiError, Media, usage::UsageScan};
use crate::wire::sse::{Frame, Framer};

pub(crate) use output::has_output;

/// Reads usage, finish reason, errors and the terminal event of an answer.
pub(super) struct AnswerScan {
    form: Form,
    facts: Facts,
}

enum Form {
    Events(Framer),
    Json(BodyScan),
    Opaque,
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) usage: UsageScan,
    /// The event was seen after which nothing follows.
    pub(super) terminal: bool,
    /// Some output was seen: text, reasoning, a tool call.
    pub(super) output: bool,
    pub(super) error: Option<Box<ApiError>>,
}

impl AnswerScan {
    pub(super) fn new(media: Media) -> Self {
        let form = match media {
            Media::EventStream => Form::Events(Framer::default()),
            Media::Json => Form::Json(BodyScan::default()),
            Media::Opaque => Form::Opaque,
        };
        Self {
            form,
            facts: Facts::default(),
        }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, data: &Bytes) {
        match &mut self.form {
            Form::Events(framer) => {
                let mut frames = framer.push(data);
                loop {
                    match frames.next() {
                        Ok(Some(frame)) => self.facts.look_at(&frame),
                        Ok(None) => break,
                        // An event longer than is ever held, such as an image: whoever only looks does not break the
                        // caller's stream for it, and reads no more.
                        Err(error) => {
                            tracing::debug!(%error, "the rest of a stream is not read");
                            drop(frames);
                            self.form = Form::Opaque;
                            break;
                        }
                    }
                }
            }
            Form::Json(body) => body.push(data),
            Form::Opaque => {}
        }
    }

    /// The bytes have ended, without an error; whether the answer is whole.
    pub(super) fn finish(&mut self) -> bool {
        match &mut self.form {
            Form::Events(framer) => {
                if let Ok(Some(frame)) = framer.finish()
                    && !is_cut_off(&frame)
                {
                    self.facts.look_at(&frame);
                }
                self.facts.terminal || self.facts.usage.finish_reason().is_some()
            }
            Form::Json(body) => {
                body.finish(&mut self.facts);
                true
            }
            Form::Opaque => true,
        }
    }
}

impl Facts {
    fn look_at(&mut self, frame: &Frame<'_>) {
        let raw = frame.raw();
        self.terminal |= is_terminal(frame);
        let Some(data) = frame.data() else { return };
        self.usage.event(&data);
        self.output = self.output || has_output(&data);
        if memmem::find(raw, b"\"error").is_some() || memmem::find(raw, b".failed\"").is_some() {
            self.error = self
                .error
                .take()
                .or_else(|| ApiError::in_answer(&data).map(Box::new));
        }
    }
}

/// Whether the last frame of a stream, which no blank line ended, broke off: its name alone must not pass for its event.
fn is_cut_off(frame: &Frame<'_>) -> bool {
    frame.data().is_none_or(|data| {
        !data.starts_with(b"[DONE]") && serde_json::from_slice::<IgnoredAny>(&data).is_err()
    })
}

/// `[DONE]`, Anthropic's `message_stop`, or the last event of a Responses stream.
fn is_terminal(frame: &Frame<'_>) -> bool {
    // Most events are one line of JSON and have no name: this is asked of every one. A name may also follow the data (Bedrock).
    let raw = frame.raw();
    if raw.starts_with(b"data:") && raw.trim_ascii_end().ends_with(b"}") {
        return false;
    }
    match frame.event() {
        Some(
            b"message_stop" | b"response.completed" | b"response.incomplete" | b"response.failed",
        ) => true,
        _ => frame.data().is_some_and(|data| data.starts_with(b"[DONE]")),
    }
}

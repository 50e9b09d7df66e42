//! What an answer says of itself, read once while it passes.

mod body;
mod output;
#[cfg(test)]
mod tests;
mod weigh;

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};

use self::body::BodyScan;
use super::{ApiError, Media, usage::UsageScan};
use crate::wire::{
    ndjson,
    sse::{Frame, FrameError, Framer},
};

pub(crate) use output::has_output;
pub(crate) use weigh::OutputWeight;

/// Reads usage, finish reason, errors and the terminal event of an answer.
pub(super) struct AnswerScan {
    form: Form,
    facts: Facts,
}

enum Form {
    Events(Framer),
    Lines(ndjson::Framer),
    Json(BodyScan),
    Opaque,
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) usage: UsageScan,
    /// The event was seen after which nothing follows.
    pub(super) terminal: bool,
    /// A line was seen that says whether it is the last one, or that broke off. Others, such as the progress of a download, have no
    /// end of their own.
    owes_a_last_line: bool,
    /// Some output was seen: text, reasoning, a tool call.
    pub(super) output: bool,
    /// Events with data were seen, so many.
    pub(super) chunks: u64,
    pub(super) error: Option<Box<ApiError>>,
    /// What the output weighs, for whoever has asked.
    weight: Option<Box<OutputWeight>>,
}

impl AnswerScan {
    pub(super) fn new(media: Media) -> Self {
        let form = match media {
            Media::EventStream => Form::Events(Framer::default()),
            Media::JsonLines => Form::Lines(ndjson::Framer::default()),
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

    /// Weighs the output from here on.
    pub(super) fn weigh(&mut self) {
        self.facts.weight.get_or_insert_default();
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, data: &Bytes) {
        match &mut self.form {
            Form::Events(framer) => {
                let mut frames = framer.push(data);
                let error = loop {
                    match frames.next() {
                        Ok(Some(frame)) => self.facts.look_at(&frame),
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                };
                drop(frames);
                self.give_up_at(error);
            }
            Form::Lines(framer) => {
                let mut lines = framer.push(data);
                let error = loop {
                    match lines.next() {
                        Ok(Some(line)) => self.facts.look_at_line(line.json()),
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                };
                drop(lines);
                self.give_up_at(error);
            }
            Form::Json(body) => body.push(data),
            Form::Opaque => {}
        }
    }

    /// An event longer than is ever held, such as an image: whoever only looks does not break the caller's stream for it, and
    /// reads no more.
    fn give_up_at(&mut self, error: Option<FrameError>) {
        if let Some(error) = error {
            tracing::debug!(%error, "the rest of a stream is not read");
            self.form = Form::Opaque;
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
            Form::Lines(framer) => {
                if let Ok(Some(line)) = framer.finish() {
                    let json = line.json();
                    self.facts.look_at_line(json);
                    let broke_off = serde_json::from_slice::<IgnoredAny>(json).is_err();
                    self.facts.owes_a_last_line |= broke_off && !json.is_empty();
                }
                self.facts.terminal || !self.facts.owes_a_last_line
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
    /// The output so far in tokens, by its text; `None` where nobody asked.
    pub(super) fn weighed(&self) -> Option<u64> {
        self.weight.as_ref().map(|weight| weight.tokens())
    }

    fn look_at(&mut self, frame: &Frame<'_>) {
        let is_over = self.terminal;
        self.terminal |= is_terminal(frame);
        if let Some(data) = frame.data() {
            self.look_at_data(&data, is_over);
        }
    }

    fn look_at_line(&mut self, json: &[u8]) {
        let is_over = self.terminal;
        if let Some(is_last) = is_last_line(json) {
            self.terminal |= is_last;
            self.owes_a_last_line = true;
        }
        self.look_at_data(json, is_over);
    }

    /// Of what comes when the answer `is_over`, no error counts: it would, or not, by where the network cuts the stream.
    fn look_at_data(&mut self, data: &[u8], is_over: bool) {
        self.chunks += u64::from(!data.starts_with(b"[DONE]"));
        self.usage.event(data);
        if let Some(weight) = &mut self.weight {
            weight.event(data);
        }
        self.output = self.output || has_output(data);
        if !is_over && ApiError::may_be_in(data) {
            self.error = self
                .error
                .take()
                .or_else(|| ApiError::in_answer(data).map(Box::new));
        }
    }
}

/// Whether a line is the last of an answer, where it says so: Ollama's `done`, Cohere's `is_finished`.
fn is_last_line(json: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(alias = "is_finished")]
        done: bool,
    }
    let line = serde_json::from_slice::<Line>(json).ok()?;
    Some(line.done)
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

//! A stream of another API, passed on as OpenAI's.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use serde::de::IgnoredAny;

use super::{MAX_JSON, Names, chunks::Chunks, detect::Api, reader::Reader, sink::Sink};
use crate::{
    message::{ApiError, BoxError, Dialect, Output, Transform, usage::UsageScan},
    normalize::{
        layer::Shared,
        repairs::{Repair, Repairs},
    },
    wire::{ndjson, sse},
};

/// Passes a stream on as it came until an event tells its API, and from then on as OpenAI's chunks, at once.
pub(super) struct Stream {
    framer: Framer,
    names: Names,
    wants_usage: bool,
    state: State,
    shared: Arc<Shared>,
}

enum Framer {
    Events(sse::Framer),
    Lines(ndjson::Framer),
}

impl Default for Framer {
    fn default() -> Self {
        Self::Lines(ndjson::Framer::default())
    }
}

enum State {
    /// No event has told yet.
    Unknown,
    /// In OpenAI's form, or in none that is known.
    Passing,
    Reading(Box<Reading>),
    /// Its last word was passed on.
    Over,
}

struct Reading {
    reader: Reader,
    chunks: Chunks,
    usage: UsageScan,
}

/// One event, or one line.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Event(sse::Frame<'a>),
    Line(ndjson::Line<'a>),
}

impl<'a> Piece<'a> {
    fn name(&self) -> Option<&'a [u8]> {
        match self {
            Self::Event(frame) => frame.event(),
            Self::Line(_) => None,
        }
    }

    fn data(&self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Event(frame) => frame.data(),
            Self::Line(line) => Some(Cow::Borrowed(line.json())).filter(|json| !json.is_empty()),
        }
    }

    /// As it goes on where it is not understood.
    fn as_event(&self) -> Bytes {
        match self {
            Self::Event(frame) => frame.to_bytes(),
            Self::Line(line) if line.json().is_empty() => Bytes::new(),
            Self::Line(line) => sse::event(None, line.json()),
        }
    }

    /// Its comments, such as a keep-alive, with line ends of ours; empty for blank lines.
    fn comment(&self) -> Bytes {
        let Self::Event(frame) = self else {
            return Bytes::new();
        };
        let lines = frame.raw().split(|byte| matches!(byte, b'\r' | b'\n'));
        let mut comment = Vec::new();
        for line in lines.filter(|line| line.first() == Some(&b':')) {
            comment.extend_from_slice(line);
            comment.push(b'\n');
        }
        if !comment.is_empty() {
            comment.push(b'\n');
        }
        comment.into()
    }

    /// Whether it has the second half of the line end that the last frame was passed on with.
    fn begins_with_line_feed(&self) -> bool {
        matches!(self, Self::Event(frame) if frame.raw().starts_with(b"\n"))
    }
}

impl Stream {
    pub(super) fn of_events(names: Names, wants_usage: bool, shared: Arc<Shared>) -> Self {
        let framer = Framer::Events(sse::Framer::with_cap(MAX_JSON));
        Self::new(framer, names, wants_usage, shared)
    }

    pub(super) fn of_lines(names: Names, wants_usage: bool, shared: Arc<Shared>) -> Self {
        let framer = Framer::Lines(ndjson::Framer::with_cap(MAX_JSON));
        Self::new(framer, names, wants_usage, shared)
    }

    fn new(framer: Framer, names: Names, wants_usage: bool, shared: Arc<Shared>) -> Self {
        Self {
            framer,
            names,
            wants_usage,
            state: State::Unknown,
            shared,
        }
    }

    fn piece(&mut self, piece: Piece<'_>, output: &mut Output<'_>) -> Result<(), BoxError> {
        if matches!(self.state, State::Over) {
            return Ok(());
        }
        let Some(data) = piece.data() else {
            let is_read = matches!(self.state, State::Reading(_));
            return output.push(if is_read {
                piece.comment()
            } else {
                piece.as_event()
            });
        };
        if matches!(self.state, State::Unknown) {
            self.decide(piece, &data);
            if matches!(self.state, State::Reading(_)) && piece.begins_with_line_feed() {
                output.push(Bytes::from_static(b"\n"))?;
            }
        }
        let State::Reading(reading) = &mut self.state else {
            return output.push(self.unread(piece, &data));
        };
        let read = reading.event(piece, &data);
        let repairs = reading.chunks.take_repairs();
        output.push(reading.chunks.take())?;
        self.shared.count(repairs);
        if read.is_over {
            self.state = State::Over;
        }
        if read.is_ping {
            // Whoever waits is to know that the answer is alive.
            return output.push(Bytes::from_static(b": ping\n\n"));
        }
        Ok(())
    }

    /// What is in OpenAI's form, or in none that is known. Only lines are changed: into events, or the error that one of them is.
    fn unread(&mut self, piece: Piece<'_>, data: &[u8]) -> Bytes {
        if matches!(piece, Piece::Line(_))
            && let Some(error) = ApiError::in_answer(data)
        {
            self.state = State::Over;
            return error.to_event(Dialect::OpenAi);
        }
        piece.as_event()
    }

    fn decide(&mut self, piece: Piece<'_>, data: &[u8]) {
        self.state = match Api::of_event(piece.name(), data) {
            None => State::Passing,
            Some(api) => {
                let mut repairs = Repairs::default();
                repairs.add(Repair::Native);
                self.shared.count(repairs);
                State::Reading(Box::new(Reading {
                    reader: Reader::new(api),
                    chunks: Chunks::new(self.names.clone(), self.wants_usage),
                    usage: UsageScan::default(),
                }))
            }
        };
    }

    /// Hands each piece that `chunk` completes to [`piece`](Self::piece).
    fn pieces(&mut self, chunk: &Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let result = match &mut framer {
            Framer::Events(framer) => {
                let mut frames = framer.push(chunk);
                loop {
                    match frames.next() {
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error.into()),
                        Ok(Some(frame)) => {
                            if let Err(error) = self.piece(Piece::Event(frame), output) {
                                break Err(error);
                            }
                        }
                    }
                }
            }
            Framer::Lines(framer) => {
                let mut lines = framer.push(chunk);
                loop {
                    match lines.next() {
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error.into()),
                        Ok(Some(line)) => {
                            if let Err(error) = self.piece(Piece::Line(line), output) {
                                break Err(error);
                            }
                        }
                    }
                }
            }
        };
        self.framer = framer;
        result
    }

    /// The last piece, which nothing ended; whether it broke off.
    fn last_piece(&mut self, output: &mut Output<'_>) -> Result<bool, BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let piece = match &mut framer {
            Framer::Events(framer) => framer.finish()?.map(Piece::Event),
            Framer::Lines(framer) => framer.finish()?.map(Piece::Line),
        };
        let broke_off = match piece {
            None => Ok(false),
            Some(piece) => self.last(piece, output),
        };
        self.framer = framer;
        broke_off
    }

    fn last(&mut self, piece: Piece<'_>, output: &mut Output<'_>) -> Result<bool, BoxError> {
        let broke_off = piece.data().is_some_and(|data| {
            !data.starts_with(b"[DONE]") && serde_json::from_slice::<IgnoredAny>(&data).is_err()
        });
        if !broke_off || !matches!(self.state, State::Reading(_)) {
            self.piece(piece, output)?;
        }
        Ok(broke_off)
    }
}

/// What came of an event.
#[derive(Default)]
struct Outcome {
    is_over: bool,
    is_ping: bool,
}

impl Reading {
    fn event(&mut self, piece: Piece<'_>, data: &[u8]) -> Outcome {
        let mut is_ping = false;
        if data.starts_with(b"[DONE]") {
            self.reader.end(&mut self.chunks);
            self.chunks.end(self.usage.usage().as_ref());
            return Outcome {
                is_over: self.chunks.is_over(),
                is_ping,
            };
        }
        if let Some(error) = ApiError::in_answer(data) {
            self.chunks.fail(&error);
        } else {
            self.usage.event(data);
            is_ping = piece.name() == Some(b"ping");
            if let Err(error) = self.reader.event(piece.name(), data, &mut self.chunks) {
                tracing::debug!(%error, "an event of a stream cannot be read");
                let message = "the upstream sent an event that cannot be read";
                let error = ApiError::new(StatusCode::BAD_GATEWAY, "server_error", message);
                self.chunks.fail(&error.with_code("unreadable_event"));
            }
        }
        let is_over = self.chunks.is_over();
        if is_over {
            self.chunks.end(self.usage.usage().as_ref());
        }
        Outcome { is_over, is_ping }
    }
}

impl Transform for Stream {
    fn data(&mut self, chunk: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        let is_raw = matches!(self.framer, Framer::Events(_));
        if is_raw && matches!(self.state, State::Passing) {
            return output.push(chunk);
        }
        self.pieces(&chunk, output)?;
        if is_raw && matches!(self.state, State::Passing) {
            // What has begun in this chunk and is not whole yet.
            return self.last_piece(output).map(drop);
        }
        Ok(())
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        if matches!(self.state, State::Passing) && matches!(self.framer, Framer::Events(_)) {
            return Ok(());
        }
        let broke_off = self.last_piece(output)?;
        if let State::Reading(reading) = &mut self.state
            && !broke_off
        {
            reading.reader.end(&mut reading.chunks);
            reading.chunks.end(reading.usage.usage().as_ref());
            let repairs = reading.chunks.take_repairs();
            output.push(reading.chunks.take())?;
            self.shared.count(repairs);
        }
        Ok(())
    }

    /// What was held back until the end is the caller's all the same; nothing says that the answer is whole.
    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        if let State::Reading(reading) = &mut self.state {
            reading.reader.end(&mut reading.chunks);
            let _ = output.push(reading.chunks.take());
        } else if matches!(self.framer, Framer::Events(_)) {
            let _ = self.last_piece(output);
        }
        error
    }
}

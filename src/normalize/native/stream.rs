//! A stream of another API, passed on as OpenAI's.

use bytes::Bytes;
use http::StatusCode;
use serde::de::IgnoredAny;

use super::{
    Names,
    chunks::Chunks,
    detect::Api,
    piece::{Framer, Piece},
    reader::Reader,
    sink::Sink,
};
use crate::{
    message::{ApiError, BoxError, Dialect, Output, Transform, usage::UsageScan},
    normalize::{
        NormalizePolicy, errors,
        repairs::{Repair, Repairs},
        tally::Tally,
    },
};

/// Passes a stream on as it came until an event tells its API, and from then on as OpenAI's chunks, at once.
pub(super) struct Stream {
    framer: Framer,
    names: Names,
    wants_usage: bool,
    policy: NormalizePolicy,
    state: State,
    /// Bytes that came and are no piece yet.
    carried: usize,
    tally: Tally,
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

impl Stream {
    pub(super) fn new(
        framer: Framer,
        names: Names,
        wants_usage: bool,
        policy: NormalizePolicy,
        tally: Tally,
    ) -> Self {
        Self {
            framer,
            names,
            wants_usage,
            policy,
            state: State::Unknown,
            carried: 0,
            tally,
        }
    }

    /// Whether the rest is of no interest, and goes on as it comes.
    fn passes_bytes(&self) -> bool {
        matches!(self.state, State::Passing) && !self.framer.are_lines()
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
        let State::Reading(reading) = &mut self.state else {
            return output.push(self.unread(piece, &data));
        };
        let read = reading.event(piece, &data);
        let repairs = reading.chunks.take_repairs();
        output.push(reading.chunks.take())?;
        self.tally.count(repairs);
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

    /// Looks at `piece` if none has told the API yet.
    fn look_at(&mut self, piece: Piece<'_>, output: &mut Output<'_>) -> Result<(), BoxError> {
        if !matches!(self.state, State::Unknown) {
            return Ok(());
        }
        if let Some(data) = piece.data() {
            self.decide(piece, &data);
        }
        if matches!(self.state, State::Reading(_)) && piece.begins_with_line_feed() {
            return output.push(Bytes::from_static(b"\n"));
        }
        Ok(())
    }

    fn decide(&mut self, piece: Piece<'_>, data: &[u8]) {
        self.state = match Api::of_event(piece.name(), data) {
            None => State::Passing,
            Some(api) => {
                let mut repairs = Repairs::default();
                repairs.add(Repair::Native);
                self.tally.count(repairs);
                let mut chunks = Chunks::new(self.names.clone(), self.wants_usage);
                if self.policy == NormalizePolicy::Strict {
                    chunks.fail(&errors::nonconformant(Repair::Native));
                }
                if self.policy == NormalizePolicy::Observe {
                    State::Passing
                } else {
                    State::Reading(Box::new(Reading {
                        reader: Reader::new(api),
                        chunks,
                        usage: UsageScan::default(),
                    }))
                }
            }
        };
    }

    /// The last piece, which nothing ended; whether it broke off.
    fn last_piece(&mut self, output: &mut Output<'_>) -> Result<bool, BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let broke_off = match framer.finish() {
            Ok(Some(piece)) => self.last(piece, output),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        self.framer = framer;
        broke_off
    }

    fn last(&mut self, piece: Piece<'_>, output: &mut Output<'_>) -> Result<bool, BoxError> {
        let broke_off = piece.data().is_some_and(|data| {
            !data.starts_with(b"[DONE]") && serde_json::from_slice::<IgnoredAny>(&data).is_err()
        });
        if !broke_off || !matches!(self.state, State::Reading(_)) {
            self.look_at(piece, output)?;
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
        if self.passes_bytes() {
            return output.push(chunk);
        }
        let mut framer = std::mem::take(&mut self.framer);
        let is_raw = !framer.are_lines();
        let (before, mut taken, mut rest) = (self.carried, 0_usize, None);
        let result = framer.each(&chunk, |piece| {
            if rest.is_some() {
                return Ok(());
            }
            let start = taken;
            taken += piece.len();
            self.look_at(piece, output)?;
            if !is_raw || !matches!(self.state, State::Passing) {
                return self.piece(piece, output);
            }
            // From here on all is of no interest, and what came together goes on together.
            rest = start.checked_sub(before);
            if rest.is_none() {
                rest = taken.checked_sub(before);
                return output.push(piece.as_event());
            }
            Ok(())
        });
        self.framer = framer;
        result?;
        self.carried = (before + chunk.len()).saturating_sub(taken);
        if let Some(rest) = rest {
            self.framer = Framer::of_events();
            return output.push(chunk.slice(rest.min(chunk.len())..));
        }
        Ok(())
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        if self.passes_bytes() {
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
            self.tally.count(repairs);
        }
        Ok(())
    }

    /// What was held back until the end is the caller's all the same; nothing says that the answer is whole.
    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        if let State::Reading(reading) = &mut self.state {
            reading.reader.end(&mut reading.chunks);
            let _ = output.push(reading.chunks.take());
        } else if !self.framer.are_lines() {
            let _ = self.last_piece(output);
        }
        error
    }
}

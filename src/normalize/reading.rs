//! Reading an answer to its end before its head is handed on, as what stands in it may change the head.

use std::{
    fmt,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use tokio::time::Instant;

use crate::message::{Alarm, FellSilent, Gather, ResponseBody, Silence};

/// An error is waited for so long.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// What a piece of a body counts for at least, in bytes: empty ones must come to an end too.
const MIN_PIECE: usize = 64;

/// An answer that is read. Its body keeps all that was, and hands it on in the same pieces.
pub(super) struct Reading {
    response: Response<ResponseBody>,
    text: Gather,
    /// How many of its pieces were read.
    place: usize,
    counted: usize,
    cap: usize,
    until: Option<Instant>,
    silence: Silence,
    alarm: Alarm,
    is_whole: bool,
}

/// What was read.
pub(super) struct Read {
    pub(super) response: Response<ResponseBody>,
    pub(super) text: Bytes,
    /// `text` is all of it.
    pub(super) is_whole: bool,
}

impl Reading {
    /// Reads a JSON answer, which nobody can use before its end, as long as it does not fall silent for so long.
    pub(super) fn answer(
        response: Response<ResponseBody>,
        cap: usize,
        max_silence: Duration,
    ) -> Self {
        Self {
            response,
            text: Gather::default(),
            place: 0,
            counted: 0,
            cap,
            until: None,
            silence: Silence::new(max_silence),
            alarm: Alarm::default(),
            is_whole: false,
        }
    }

    /// Reads an error, for a second at most.
    pub(super) fn error(response: Response<ResponseBody>, cap: usize) -> Self {
        Self {
            until: Some(Instant::now() + MAX_WAIT),
            ..Self::answer(response, cap, Duration::ZERO)
        }
    }

    /// Ready once the answer is read to its end, to the cap, or for as long as it is waited for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.counted <= self.cap {
            let body = self.response.body_mut();
            match body.poll_ahead_from(&mut self.place, cx) {
                Poll::Ready(Some(data)) => {
                    self.counted += data.len().max(MIN_PIECE);
                    self.text.push(data, 0);
                    self.silence.break_off();
                }
                Poll::Ready(None) => {
                    self.is_whole = !self.response.body().is_broken_ahead();
                    break;
                }
                Poll::Pending => {
                    let silent = self.silence.wait();
                    let Some(due) = [self.until, silent].into_iter().flatten().min() else {
                        return Poll::Pending;
                    };
                    ready!(self.alarm.poll(due, cx));
                    if silent == Some(due) {
                        self.response.extensions_mut().insert(FellSilent);
                    }
                    break;
                }
            }
        }
        Poll::Ready(())
    }

    pub(super) fn finish(mut self) -> Read {
        Read {
            text: self.text.take(),
            response: self.response,
            is_whole: self.is_whole,
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

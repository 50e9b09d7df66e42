//! A kept stream, played again.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Entry;
use crate::timer::Timer;

/// The pieces of an entry, one after the other, `pace` apart.
pub(super) struct Replay {
    entry: Entry,
    next: usize,
    pace: Duration,
    timer: Option<Timer>,
}

impl Replay {
    pub(super) fn new(entry: Entry, pace: Duration) -> Self {
        Self {
            entry,
            next: 0,
            pace,
            timer: None,
        }
    }

    fn left(&self) -> u64 {
        let given = self
            .next
            .checked_sub(1)
            .and_then(|last| self.entry.ends().get(last));
        let given = given.copied().unwrap_or(0);
        (self.entry.body().len() as u64).saturating_sub(given.into())
    }
}

impl Body for Replay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(timer) = &mut self.timer {
            ready!(timer.poll(cx));
            self.timer = None;
        }
        let Some(piece) = self.entry.piece(self.next) else {
            return Poll::Ready(None);
        };
        self.next += 1;
        if !self.pace.is_zero() && !self.is_end_stream() {
            self.timer = Some(Timer::until(Instant::now() + self.pace));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.entry.ends().len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// The body of a demo answer: one frame for JSON, one frame per event for a stream.
#[derive(Debug)]
pub struct DemoBody {
    frames: VecDeque<Bytes>,
    ending: Ending,
    pace: Duration,
    pause: Pause,
    sized: bool,
}

/// A demo answer was cut short because the caller asked for it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the demo upstream cut this answer, as `x-demo-cut` asked")]
pub struct DemoError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Clean,
    Cut,
    Over,
}

#[derive(Debug)]
enum Pause {
    None,
    /// Lets the server flush, so that every event is a write of its own, also the one before a cut.
    Yield,
    Sleep(Pin<Box<Sleep>>),
}

impl DemoBody {
    pub(super) fn json(bytes: Bytes) -> Self {
        Self {
            sized: true,
            ..Self::stream(VecDeque::from([bytes]), Duration::ZERO)
        }
    }

    pub(super) fn stream(frames: VecDeque<Bytes>, pace: Duration) -> Self {
        Self {
            frames,
            ending: Ending::Clean,
            pace,
            pause: Pause::None,
            sized: false,
        }
    }

    /// Fails after `frames`, if there are that many.
    pub(super) fn cut_after(&mut self, frames: usize) {
        if frames <= self.frames.len() {
            self.frames.truncate(frames);
            self.ending = Ending::Cut;
            self.sized = false;
            if frames == 0 {
                self.pause = Pause::Yield;
            }
        }
    }
}

impl Body for DemoBody {
    type Data = Bytes;
    type Error = DemoError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DemoError>>> {
        match &mut self.pause {
            Pause::None => {}
            Pause::Yield => {
                self.pause = Pause::None;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Pause::Sleep(sleep) => {
                ready!(sleep.as_mut().poll(cx));
                self.pause = Pause::None;
            }
        }
        let Some(frame) = self.frames.pop_front() else {
            let ending = std::mem::replace(&mut self.ending, Ending::Over);
            return Poll::Ready((ending == Ending::Cut).then_some(Err(DemoError)));
        };
        if !self.is_end_stream() {
            self.pause = if self.pace.is_zero() || self.frames.is_empty() {
                Pause::Yield
            } else {
                Pause::Sleep(Box::pin(sleep(self.pace)))
            };
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.ending != Ending::Cut
    }

    fn size_hint(&self) -> SizeHint {
        if !self.sized {
            return SizeHint::default();
        }
        let left = self
            .frames
            .iter()
            .map(|frame| u64::try_from(frame.len()).unwrap_or(u64::MAX));
        SizeHint::with_exact(left.sum())
    }
}

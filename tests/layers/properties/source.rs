//! Bodies that an upstream might send.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use proptest::prelude::*;

use crate::probe::Foreign;

/// One step of a body.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Data(Bytes),
    Pending,
}

/// How a body ends after its steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Last {
    End,
    Trailers,
    Error,
}

/// A body that does what it is told, and says as much of its length and end as it is told to.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) steps: VecDeque<Step>,
    pub(crate) last: Last,
    /// It knows its length.
    pub(crate) exact: bool,
    /// It knows when it has ended.
    pub(crate) foresees_end: bool,
    done: bool,
}

pub(crate) fn source() -> impl Strategy<Value = Source> {
    let step = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12).prop_map(|data| Step::Data(data.into())),
        1 => Just(Step::Pending),
    ];
    let last = prop_oneof![3 => Just(Last::End), 1 => Just(Last::Trailers), 1 => Just(Last::Error)];
    (
        prop::collection::vec(step, 0..8),
        last,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(steps, last, exact, foresees_end)| {
            Source::new(steps, last, exact, foresees_end)
        })
}

pub(crate) fn trailers() -> HeaderMap {
    [(
        http::HeaderName::from_static("x-sum"),
        http::HeaderValue::from_static("1"),
    )]
    .into_iter()
    .collect()
}

impl Source {
    pub(crate) fn new(
        steps: impl IntoIterator<Item = Step>,
        last: Last,
        exact: bool,
        foresees_end: bool,
    ) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            last,
            exact,
            foresees_end,
            done: false,
        }
    }

    /// All its bytes.
    pub(crate) fn whole(&self) -> Vec<u8> {
        self.steps.iter().flat_map(Step::bytes).copied().collect()
    }
}

impl Step {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Data(data) => data,
            Self::Pending => &[],
        }
    }
}

impl Body for Source {
    type Data = Bytes;
    type Error = Foreign;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Foreign>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None if std::mem::replace(&mut self.done, true) => Poll::Ready(None),
            None => Poll::Ready(match self.last {
                Last::End => None,
                Last::Trailers => Some(Ok(Frame::trailers(trailers()))),
                Last::Error => Some(Err(Foreign(3))),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        let more = self.last != Last::End && !self.done;
        self.foresees_end && !more && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.exact {
            SizeHint::with_exact(self.whole().len() as u64)
        } else {
            SizeHint::default()
        }
    }
}

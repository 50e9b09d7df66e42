//! Where an answer's bytes come from, and until when.

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::{
    message::{BoxError, Deadline, Failure, boxed::BoxedBody},
    timer::Timer,
};

pub(in crate::message) type SourceFrame = Result<Frame<Bytes>, Broken>;

/// When the answer must be whole.
pub(super) struct Expiry {
    pub(super) deadline: Deadline,
    /// Made when first waited for, unless one that was waited for already was handed on.
    pub(super) timer: Option<Timer>,
}

pub(super) enum Source {
    Ended,
    Full(Bytes),
    Stream(BoxedBody),
}

/// Why no more can be handed on.
pub(in crate::message) struct Broken {
    pub(in crate::message) failure: Failure,
    pub(in crate::message) error: BoxError,
}

impl Source {
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ended => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl Expiry {
    pub(super) fn timer(&mut self) -> &mut Timer {
        let at = self.deadline.instant();
        self.timer.get_or_insert_with(|| Timer::until(at))
    }

    /// Whether the moment is known to have passed; reads no clock.
    pub(super) fn has_fired(&self) -> bool {
        self.timer.as_ref().is_some_and(Timer::has_fired)
    }
}

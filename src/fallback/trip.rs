//! What a request meets with on its way along the chain.

use http::Response;

use super::{layer::Shared, state::Walk};
use crate::{
    client::Target,
    message::{Outcome, Refusal, ResponseBody},
    reserve::{AttemptLimit, Attempts, Withdrawal},
};

/// What a request has met with so far.
#[derive(Default)]
pub(super) struct Trip {
    pub(super) walk: Walk,
    pub(super) attempts: Attempts,
    /// What is handed on if nobody does better: the primary's answer, or that of the first that was asked.
    pub(super) kept: Option<Kept>,
    /// What came of the target that was asked first.
    pub(super) first: Option<Outcome>,
    /// Whether somebody was asked already.
    pub(super) has_begun: bool,
    pub(super) fell_back: bool,
    /// Whether every target refused it before, and it waited.
    pub(super) has_waited: bool,
}

pub(super) struct Kept {
    pub(super) response: Response<ResponseBody>,
    /// Its place among the attempts.
    pub(super) index: usize,
}

/// An attempt that counts, unless it is taken back.
pub(super) struct Made {
    is_first: bool,
    paid: Option<Withdrawal>,
}

impl Trip {
    /// Notes a failed answer, and keeps it if it is the one to be handed on; what is not kept any more is returned.
    pub(super) fn note(
        &mut self,
        mut response: Response<ResponseBody>,
        outcome: Outcome,
        place: usize,
        shared: &Shared,
    ) -> Option<Response<ResponseBody>> {
        // One that waits is refused again and again: that is noted once.
        let again = self.has_waited && outcome == Outcome::Refused(Refusal::CircuitOpen);
        if !again {
            let name = shared.about(place).map(Target::name);
            self.attempts.push_at(&mut response, outcome, name);
        }
        let index = match &self.kept {
            Some(_) if place > 0 => return Some(response),
            Some(kept) if again => kept.index,
            _ => self.attempts.failed().len().saturating_sub(1),
        };
        let before = self.kept.replace(Kept { response, index });
        before.map(|kept| kept.response)
    }
}

/// Whether nothing was sent for this answer: the very first layer that was asked refused.
pub(super) fn was_not_made(response: &Response<ResponseBody>, outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_)) && Attempts::of(response).is_none()
}

impl Made {
    /// The first of all, which nothing is taken for.
    pub(super) fn first() -> Self {
        Self {
            is_first: true,
            paid: None,
        }
    }

    /// One that was taken from the limit, and from the budget where there is one.
    pub(super) fn another(paid: Option<Withdrawal>) -> Self {
        Self {
            is_first: false,
            paid,
        }
    }

    pub(super) fn take_back(mut self, limit: &AttemptLimit) {
        if !self.is_first {
            limit.give_back();
        }
        drop(self.paid.take());
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(paid) = self.paid.take() {
            paid.spend();
        }
    }
}

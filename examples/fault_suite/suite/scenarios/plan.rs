//! What is expected of the stacks.

use std::time::Duration;

use crate::suite::{check::Outcome, stacks::Layers};

/// What is expected of the stacks that promise something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    retry: Expected,
    fallback: Expected,
    full: Expected,
}

/// What is expected of one stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) outcome: Outcome,
    /// Calls of the first upstream, and of the second.
    pub(crate) calls: (usize, usize),
    pub(crate) within: Duration,
}

/// A wait that is none: what computing takes.
const SOON: Duration = Duration::from_millis(100);
/// Two backoffs, from nothing to 0.5 s and 1 s.
const BACKOFFS: Duration = Duration::from_millis(1_600);

impl Plan {
    /// What is the same everywhere, at the first attempt.
    pub(crate) fn always(outcome: Outcome) -> Self {
        let expected = Expected {
            outcome,
            calls: (1, 0),
            within: SOON,
        };
        Self {
            retry: expected,
            fallback: expected,
            full: expected,
        }
    }

    /// An error that stays at each of three attempts, and is not there at the backup.
    pub(crate) fn retried(status: u16, code: &'static str) -> Self {
        Self::fails(Outcome::Error(status, code), 3, 3).within(BACKOFFS, BACKOFFS)
    }

    /// A connection that fails at each of three attempts, or at once leads to the backup.
    pub(crate) fn transport(status: u16, code: &'static str) -> Self {
        Self::fails(Outcome::Error(status, code), 3, 1).within(BACKOFFS, Duration::from_millis(500))
    }

    /// A limit whose wait is waited for before each further attempt, unless there is a backup.
    pub(crate) fn limited(status: u16, code: &'static str, wait: Duration) -> Self {
        Self::fails(Outcome::Error(status, code), 3, 1).within(BACKOFFS + 3 * wait, SOON)
    }

    /// An error that no further attempt at the same upstream heals.
    pub(crate) fn elsewhere(status: u16, code: &'static str) -> Self {
        Self::fails(Outcome::Error(status, code), 1, 1)
    }

    /// An answer at the second attempt.
    pub(crate) fn second(calls: (usize, usize)) -> Self {
        let answer = |calls| Expected {
            outcome: Outcome::Answer,
            calls,
            within: Duration::from_millis(500),
        };
        Self {
            retry: answer((2, 0)),
            fallback: answer(calls),
            full: answer(calls),
        }
    }

    fn fails(outcome: Outcome, attempts: usize, before_backup: usize) -> Self {
        let fallen_back = Expected {
            outcome: Outcome::Answer,
            calls: (before_backup, 1),
            within: SOON,
        };
        Self {
            retry: Expected {
                outcome,
                calls: (attempts, 0),
                within: SOON,
            },
            fallback: fallen_back,
            full: fallen_back,
        }
    }

    /// How long it may take without a backup, and with one.
    pub(crate) fn within(mut self, alone: Duration, with_backup: Duration) -> Self {
        self.retry.within = alone;
        self.fallback.within = with_backup;
        self.full.within = with_backup;
        self
    }

    /// The same with every attempt taking `each` longer.
    pub(crate) fn each(mut self, each: Duration) -> Self {
        for expected in [&mut self.retry, &mut self.fallback, &mut self.full] {
            let attempts = u32::try_from(expected.calls.0).unwrap_or(1);
            expected.within += each * attempts;
        }
        self
    }

    /// Something else of the stack that has all layers.
    pub(crate) fn full(mut self, outcome: Outcome, calls: (usize, usize)) -> Self {
        self.full.outcome = outcome;
        self.full.calls = calls;
        self
    }

    /// What is expected of `layers`. Of an upstream alone nothing is: what the least of the others promises stands for it.
    pub(crate) fn of(&self, layers: Layers) -> Expected {
        match layers {
            Layers::Bare | Layers::Retry => self.retry,
            Layers::Fallback => self.fallback,
            Layers::Full => self.full,
        }
    }
}

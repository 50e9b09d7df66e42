use tokio::time::Instant;

use super::policy::{CircuitBreakerBuilder, Forgiveness};
use crate::{
    message::Verdict,
    stats::{self, Outcomes, Ring},
};

/// What came of the calls since the circuit last changed: the grounds for opening it.
#[derive(Debug)]
pub(super) struct Record {
    window: Ring<Outcomes>,
    in_a_row: u32,
}

impl Record {
    pub(super) fn new(policy: &CircuitBreakerBuilder, now: Instant) -> Self {
        Self {
            window: Ring::new(now, policy.window),
            in_a_row: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.window.clear();
        self.in_a_row = 0;
    }

    /// Counts one more, and tells whether it was one too many.
    pub(super) fn breaks(
        &mut self,
        policy: &CircuitBreakerBuilder,
        now: Instant,
        verdict: Verdict,
    ) -> bool {
        let counted = match verdict {
            Verdict::Success => {
                self.in_a_row = match policy.forgiveness {
                    Forgiveness::All => 0,
                    Forgiveness::One => self.in_a_row.saturating_sub(1),
                };
                stats::Verdict::Success
            }
            Verdict::Failure => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                stats::Verdict::Failure
            }
            Verdict::RateLimited => stats::Verdict::RateLimited,
            Verdict::Exhausted => return true,
            Verdict::Blameless | Verdict::Neutral => return false,
        };
        if let Some(slice) = self.window.at(now) {
            slice.add(counted);
        }
        if verdict == Verdict::Success {
            return false;
        }
        let mut sum = Outcomes::default();
        self.window.within(now).for_each(|slice| sum.merge(slice));
        if verdict == Verdict::RateLimited {
            return sum.judged() + sum.rate_limited >= policy.minimum_calls
                && sum.rate_limited_rate() > Some(policy.rate_limited_rate);
        }
        let too_many = policy.consecutive_failures;
        (too_many > 0 && self.in_a_row >= too_many)
            || (sum.judged() >= policy.minimum_calls
                && sum.failure_rate() > Some(policy.failure_rate))
    }
}

//! How attempts ended, counted.

use serde::Serialize;

use super::ring::Content;

/// What an attempt says about its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It answered.
    Success,
    /// It failed.
    Failure,
    /// It refused for the sake of a limit, which is no failure.
    RateLimited,
    /// Nothing: the caller left, or the request was at fault.
    Neutral,
}

/// Attempts by how they ended.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Answered.
    pub success: u64,
    /// Failed.
    pub failure: u64,
    /// Refused for the sake of a limit.
    pub rate_limited: u64,
    /// Said nothing about the upstream.
    pub neutral: u64,
}

impl Outcomes {
    /// All attempts.
    pub fn total(&self) -> u64 {
        self.success + self.failure + self.rate_limited + self.neutral
    }

    /// Attempts that say how the upstream does: successes and failures.
    pub fn judged(&self) -> u64 {
        self.success + self.failure
    }

    /// Failures among the judged attempts, 0 to 1; `None` where there are none.
    pub fn failure_rate(&self) -> Option<f64> {
        ratio(self.failure, self.judged())
    }

    /// Successes among the judged attempts, 0 to 1; `None` where there are none.
    pub fn success_rate(&self) -> Option<f64> {
        ratio(self.success, self.judged())
    }

    /// Refusals for the sake of a limit among all attempts but neutral ones, 0 to 1; `None` where there are none.
    pub fn rate_limited_rate(&self) -> Option<f64> {
        ratio(self.rate_limited, self.judged() + self.rate_limited)
    }

    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Success => self.success += 1,
            Verdict::Failure => self.failure += 1,
            Verdict::RateLimited => self.rate_limited += 1,
            Verdict::Neutral => self.neutral += 1,
        }
    }

    /// Counts these too.
    pub fn merge(&mut self, other: &Self) {
        self.success += other.success;
        self.failure += other.failure;
        self.rate_limited += other.rate_limited;
        self.neutral += other.neutral;
    }
}

impl Content for Outcomes {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a rate of counts, shown and compared with a threshold"
)]
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neutral_attempts_and_limits_do_not_change_the_failure_rate() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.failure_rate(), None);
        for verdict in [
            Verdict::Success,
            Verdict::Failure,
            Verdict::Failure,
            Verdict::Failure,
        ] {
            outcomes.add(verdict);
        }
        assert_eq!(outcomes.failure_rate(), Some(0.75));
        outcomes.add(Verdict::Neutral);
        outcomes.add(Verdict::RateLimited);
        assert_eq!(outcomes.failure_rate(), Some(0.75));
        assert_eq!(outcomes.rate_limited_rate(), Some(0.2));
        assert_eq!(outcomes.total(), 6);
    }
}

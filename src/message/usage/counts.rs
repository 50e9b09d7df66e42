use std::{
    iter::Sum,
    ops::{Add, AddAssign},
};

use serde::{Deserialize, Serialize};

/// Token counts by kind, disjoint: every token is in exactly one field, so what is billed is the sum over kinds of count
/// times price.
///
/// Sums saturate.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Input tokens at the full price: neither read from nor written to a cache, and not audio.
    pub input: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens written to a cache that lives five minutes, or for as long as the provider keeps it by default.
    pub cache_write_5m: u64,
    /// Input tokens written to a cache that lives an hour or more.
    pub cache_write_1h: u64,
    /// Output tokens that the caller can see, audio excepted.
    pub output: u64,
    /// Output tokens spent on reasoning, shown or not.
    pub reasoning: u64,
    /// Audio input tokens that did not come from a cache.
    pub audio_in: u64,
    /// Audio output tokens.
    pub audio_out: u64,
}

impl Usage {
    /// All input tokens, from a cache or not: what rate limits and price tiers by prompt size count.
    pub fn total_input(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
            .saturating_add(self.audio_in)
    }

    /// All output tokens, reasoning and audio included.
    pub fn total_output(&self) -> u64 {
        self.output
            .saturating_add(self.reasoning)
            .saturating_add(self.audio_out)
    }

    /// All tokens.
    pub fn total(&self) -> u64 {
        self.total_input().saturating_add(self.total_output())
    }

    /// Whether every count is 0. A stated zero is not the same as nothing stated: that is `None`.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The sum of both, kind by kind, each at most [`u64::MAX`].
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_in: self.audio_in.saturating_add(other.audio_in),
            audio_out: self.audio_out.saturating_add(other.audio_out),
        }
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Self::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_over_kinds() {
        let usage = Usage {
            input: 1,
            cache_read: 2,
            cache_write_5m: 4,
            cache_write_1h: 8,
            output: 16,
            reasoning: 32,
            audio_in: 64,
            audio_out: 128,
        };
        assert_eq!(usage.total_input(), 1 + 2 + 4 + 8 + 64);
        assert_eq!(usage.total_output(), 16 + 32 + 128);
        assert_eq!(usage.total(), 255);
        assert_eq!([usage; 3].into_iter().sum::<Usage>().total(), 3 * 255);
        assert!(!usage.is_zero());
        assert!(Usage::default().is_zero());
    }

    #[test]
    fn sums_saturate() {
        let mut usage = Usage {
            input: u64::MAX,
            output: u64::MAX,
            ..Usage::default()
        };
        usage += usage;
        assert_eq!(usage.input, u64::MAX);
        assert_eq!(usage.total(), u64::MAX);
    }

    #[test]
    fn a_kind_that_is_absent_in_json_is_zero() {
        let usage: Usage = serde_json::from_str(r#"{"input":3}"#).unwrap();
        assert_eq!(usage.total(), 3);
    }
}

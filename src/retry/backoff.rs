//! How long to wait before another attempt.

use std::time::Duration;

use serde::Deserialize;

use crate::{message::ConfigError, wire::units};

/// The waits between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The wait after the first attempt, before jitter: 0.5 s by default.
    #[serde(deserialize_with = "units::duration")]
    pub base: Duration,
    /// The longest wait, before jitter: 30 s by default.
    #[serde(deserialize_with = "units::duration")]
    pub cap: Duration,
    /// How waits grow: exponentially by default.
    pub growth: Growth,
    /// How waits are spread: over their full length by default.
    pub jitter: Jitter,
}

/// How waits grow from one attempt to the next.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Base, twice, four times, eight times.
    #[default]
    Exponential,
    /// Base, twice, three times, four times.
    Linear,
}

/// How waits are spread, so that callers who failed together do not come again together.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Anything from nothing to the whole wait, which spreads best ("full jitter": AWS Architecture Blog, "Exponential Backoff And
    /// Jitter", 2015).
    #[default]
    Full,
    /// The wait, and up to a second more.
    AddUpTo1s,
    /// The wait as it is.
    None,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            growth: Growth::Exponential,
            jitter: Jitter::Full,
        }
    }
}

impl Backoff {
    /// The wait after `failed` attempts have failed (1 or more), spread by `random`, any number.
    pub(super) fn wait(&self, failed: u32, random: u64) -> Duration {
        let nth = failed.saturating_sub(1);
        let factor = match self.growth {
            Growth::Exponential => 1_u32.checked_shl(nth).unwrap_or(u32::MAX),
            Growth::Linear => nth.saturating_add(1),
        };
        let wait = self.base.saturating_mul(factor).min(self.cap);
        match self.jitter {
            Jitter::Full => share(wait, random),
            Jitter::AddUpTo1s => wait.saturating_add(share(Duration::from_secs(1), random)),
            Jitter::None => wait,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.base > self.cap {
            return Err(ConfigError::new("base", "must be at most the cap"));
        }
        Ok(())
    }
}

/// From nothing to all of `whole`, as `random` is to the largest number.
fn share(whole: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let product = u128::from(nanos) * u128::from(random);
    Duration::from_nanos(u64::try_from(product >> 64).unwrap_or(nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(backoff: Backoff, random: u64) -> Vec<f64> {
        (1..=4)
            .map(|failed| (backoff.wait(failed, random).as_secs_f64() * 1e6).round() / 1e6)
            .collect()
    }

    #[test]
    fn waits_grow_as_they_are_told() {
        let backoff = Backoff {
            jitter: Jitter::None,
            ..Backoff::default()
        };
        assert_eq!(seconds(backoff, 7), [0.5, 1.0, 2.0, 4.0]);
        let linear = Backoff {
            growth: Growth::Linear,
            ..backoff
        };
        assert_eq!(seconds(linear, 7), [0.5, 1.0, 1.5, 2.0]);
        let added = Backoff {
            jitter: Jitter::AddUpTo1s,
            ..backoff
        };
        assert_eq!(seconds(added, u64::MAX / 2), [1.0, 1.5, 2.5, 4.5]);
        assert_eq!(
            seconds(Backoff::default(), u64::MAX / 2),
            [0.25, 0.5, 1.0, 2.0]
        );
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_cap(
            failed in any::<u32>(),
            random in any::<u64>(),
            base in 0_u64..10_000,
            longer in 0_u64..100_000,
        ) {
            let cap = Duration::from_millis(base + longer);
            let backoff = Backoff { base: Duration::from_millis(base), cap, ..Backoff::default() };
            prop_assert!(backoff.wait(failed, random) <= cap);
        }
    }
}

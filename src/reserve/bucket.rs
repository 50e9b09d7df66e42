//! GCRA, the generic cell rate algorithm: a token bucket that is one number.

use std::time::Duration;

use super::Limit;

/// How far a [`Limit`] is used up: the point in time at which it would be full again, as the
/// [generic cell rate algorithm](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm) has it.
///
/// The algorithm's clock counts nanoseconds. This one counts what the limit allows in them: it advances by the limit's amount each
/// nanosecond, and taking one unit costs its window in nanoseconds. So both are whole numbers, whatever the limit; no sum is ever rounded,
/// and what is reserved and given back cancels out exactly. Over any span `t` at most `burst + amount * t / window` units are taken, and what
/// is given back in it besides.
///
/// Pure: `now` is in nanoseconds since any moment that stays the same. 128 bits hold a century of the highest limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(u128);

impl Bucket {
    /// A bucket of which so much is [used](Self::backlog) at `now`.
    pub fn with_backlog(limit: &Limit, now: u64, backlog: u128) -> Self {
        Self(limit.clock(now).saturating_add(backlog))
    }

    /// What is used and has not flowed back by `now`, in units times nanoseconds of the window; 0 for a full bucket.
    pub fn backlog(self, limit: &Limit, now: u64) -> u128 {
        self.0.saturating_sub(limit.clock(now))
    }

    /// Whether nothing of it is used: forgetting it changes nothing.
    pub fn is_full(self, limit: &Limit, now: u64) -> bool {
        self.0 <= limit.clock(now)
    }

    /// Whether `amount` may be taken now.
    pub fn has(self, limit: &Limit, now: u64, amount: u64) -> bool {
        // Nothing can be taken from a bucket in debt, and still nothing be asked of it.
        amount == 0
            || self.backlog(limit, now).saturating_add(limit.cost(amount))
                <= limit.cost(limit.burst())
    }

    /// Takes `amount`, whether it is there or not: who asks has looked.
    pub fn take(&mut self, limit: &Limit, now: u64, amount: u64) {
        if amount > 0 {
            self.0 = self
                .0
                .max(limit.clock(now))
                .saturating_add(limit.cost(amount));
        }
    }

    /// Returns `amount` of what was taken, however long ago: what a long request has kept from others and not used is theirs in the end. A
    /// bucket is never more than full.
    pub fn give_back(&mut self, limit: &Limit, amount: u64) {
        self.0 = self.0.saturating_sub(limit.cost(amount));
    }

    /// Takes `amount` that was used without having been reserved, down to the limit's [debt](Limit::debt); what is beyond that, which
    /// is forgiven.
    pub fn charge(&mut self, limit: &Limit, now: u64, amount: u64) -> u64 {
        let floor = limit
            .cost(limit.burst())
            .saturating_add(limit.cost(limit.debt()));
        let backlog = self.backlog(limit, now);
        let room = floor.saturating_sub(backlog) / limit.cost(1);
        let charged = u64::try_from(room).unwrap_or(u64::MAX).min(amount);
        self.take(limit, now, charged);
        amount - charged
    }
}

/// What a limit has left, as callers are told.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// What is limited.
    pub limit: Limit,
    /// What is used and has not flowed back, rounded up; above the burst where there is a debt.
    pub used: u64,
    /// What may be taken at once, rounded down.
    pub remaining: u64,
    /// When it is full again.
    pub reset: Duration,
}

impl Level {
    /// The level of a bucket with this [backlog](Bucket::backlog).
    pub fn of(limit: Limit, backlog: u128) -> Self {
        let whole = |cost: u128| u64::try_from(cost / limit.cost(1)).unwrap_or(u64::MAX);
        let room = limit.cost(limit.burst()).saturating_sub(backlog);
        Self {
            limit,
            used: whole(backlog.saturating_add(limit.cost(1) - 1)),
            remaining: whole(room),
            reset: limit.time_for(backlog),
        }
    }

    /// How long until `amount` may be taken, if nobody takes anything before; `None` where it is more than the burst, and so never.
    pub fn wait(&self, backlog: u128, amount: u64) -> Option<Duration> {
        let excess = backlog
            .saturating_add(self.limit.cost(amount))
            .saturating_sub(self.limit.cost(self.limit.burst()));
        (amount <= self.limit.burst()).then(|| self.limit.time_for(excess))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reserve::Dimension;

    const SECOND: u64 = 1_000_000_000;

    fn limit(amount: u64, seconds: u64) -> Limit {
        Limit::new(Dimension::Tokens, amount, Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_taken_flows_back_at_the_limits_rate() {
        let limit = limit(60, 60);
        let mut bucket = Bucket::default();
        bucket.take(&limit, 0, 60);
        assert!(!bucket.has(&limit, SECOND - 1, 1));
        assert!(bucket.has(&limit, SECOND, 1));
        assert!(!bucket.has(&limit, SECOND, 2));
        let backlog = bucket.backlog(&limit, SECOND);
        let level = Level::of(limit, backlog);
        assert_eq!((level.used, level.remaining), (59, 1));
        assert_eq!(level.reset, Duration::from_secs(59));
        assert_eq!(level.wait(backlog, 3), Some(Duration::from_secs(2)));
        assert_eq!(level.wait(backlog, 61), None);
        assert!(bucket.is_full(&limit, 60 * SECOND));
    }

    #[test]
    fn what_was_used_beyond_the_reservation_is_owed_down_to_the_bound() {
        let limit = limit(60, 60).with_debt(30);
        let mut bucket = Bucket::default();
        bucket.take(&limit, 0, 60);
        assert_eq!(bucket.charge(&limit, 0, 40), 10);
        // Thirty seconds pay the debt.
        assert!(!bucket.has(&limit, 30 * SECOND, 1));
        assert!(bucket.has(&limit, 31 * SECOND, 1));
        // What costs nothing passes all the same.
        assert!(bucket.has(&limit, 0, 0));
    }

    #[test]
    fn a_refund_never_makes_more_than_full() {
        let limit = limit(60, 60);
        let mut bucket = Bucket::default();
        bucket.take(&limit, 0, 60);
        bucket.give_back(&limit, 60);
        bucket.give_back(&limit, 60);
        assert!(!bucket.has(&limit, 0, 61));
        assert_eq!(bucket, Bucket::default());
    }

    #[test]
    fn what_was_reserved_for_long_and_not_used_is_there_for_others_afterwards() {
        let limit = limit(60, 60);
        let mut bucket = Bucket::default();
        bucket.take(&limit, 0, 60);
        bucket.take(&limit, 60 * SECOND, 60);
        assert!(!bucket.has(&limit, 60 * SECOND, 1));
        bucket.give_back(&limit, 50);
        assert!(bucket.has(&limit, 60 * SECOND, 50) && !bucket.has(&limit, 60 * SECOND, 51));
    }

    #[test]
    fn a_century_of_the_highest_limit_does_not_overflow() {
        let limit = Limit::new(Dimension::PicoUsd, u64::MAX, Duration::from_secs(1));
        let century = 3_155_760_000 * SECOND;
        let mut bucket = Bucket::default();
        bucket.take(&limit, century, u64::MAX);
        assert!(!bucket.has(&limit, century, 1));
        assert!(bucket.is_full(&limit, century + SECOND));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn over_any_span_no_more_is_taken_than_burst_and_rate_allow_and_never_less_than_the_rate(
            amount in 1_u64..5_000,
            window in 1_u64..100_000_000_000,
            burst in 1_u64..5_000,
            steps in prop::collection::vec((0_u64..3_000_000_000, 1_u64..50), 1..80),
        ) {
            let limit = Limit::new(Dimension::Tokens, amount, Duration::from_nanos(window)).with_burst(burst);
            let mut bucket = Bucket::default();
            let mut now = 0;
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for (pause, wanted) in steps {
                now += pause;
                let wanted = wanted.min(burst);
                let backlog = bucket.backlog(&limit, now);
                if bucket.has(&limit, now, wanted) {
                    bucket.take(&limit, now, wanted);
                    taken.push((now, wanted));
                } else {
                    // After the stated wait it is there, and not a nanosecond before.
                    let wait = Level::of(limit, backlog).wait(backlog, wanted).unwrap();
                    let at = now + u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(bucket.has(&limit, at, wanted));
                    prop_assert!(!bucket.has(&limit, at - 1, wanted));
                }
            }
            for (index, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0_u128;
                for (at, took) in &taken[index..] {
                    sum += u128::from(*took);
                    let allowed = u128::from(burst) * u128::from(window) + u128::from(at - from) * u128::from(amount);
                    prop_assert!(sum * u128::from(window) <= allowed);
                }
            }
        }

        #[test]
        fn reserving_and_settling_in_any_order_is_as_if_the_truth_had_been_known(
            amount in 1_u64..1_000_000,
            window in 1_u64..100_000_000_000,
            calls in prop::collection::vec((1_u64..1_000, 0_u64..1_000, any::<bool>()), 1..40),
        ) {
            // Room for all of it, so that nothing has to be refused or forgiven; no time passes, so that nothing flows back.
            let limit = Limit::new(Dimension::Tokens, amount, Duration::from_nanos(window)).with_burst(1 << 40);
            let settle = |bucket: &mut Bucket, reserved: u64, used: u64| {
                if used > reserved {
                    assert_eq!(bucket.charge(&limit, 7, used - reserved), 0);
                } else {
                    bucket.give_back(&limit, reserved - used);
                }
            };
            let (mut bucket, mut truth, mut late) = (Bucket::default(), Bucket::default(), Vec::new());
            for (reserved, used, at_once) in calls {
                bucket.take(&limit, 7, reserved);
                truth.take(&limit, 7, used);
                if at_once {
                    settle(&mut bucket, reserved, used);
                } else {
                    late.push((reserved, used));
                }
            }
            for (reserved, used) in late.into_iter().rev() {
                settle(&mut bucket, reserved, used);
            }
            prop_assert_eq!(bucket.backlog(&limit, 7), truth.backlog(&limit, 7));
        }
    }
}

//! Which target requests begin with.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// The bits of the target's place; the others are milliseconds since the start.
const PLACE: u32 = 16;

/// The most targets of a chain: their places fit in so many bits.
pub(super) const MAX_TARGETS: usize = 1 << PLACE;

/// A target that took over, for the while that it is asked first.
#[derive(Debug)]
pub(super) struct Sticky {
    start: Instant,
    over: Duration,
    /// When it ends and which it is, in one word; zero for the primary.
    ///
    /// Relaxed: no other memory hangs on it, and whoever reads it late is as one who called a moment earlier.
    word: AtomicU64,
}

impl Sticky {
    /// A take-over lasts for `over`; with zero there is none.
    pub(super) fn new(over: Duration, start: Instant) -> Self {
        Self {
            start,
            over,
            word: AtomicU64::new(0),
        }
    }

    pub(super) fn over(&self) -> Duration {
        self.over
    }

    /// The place of the target that is asked first. `now` is only asked where it is not the primary.
    pub(super) fn place(&self, now: impl FnOnce() -> Instant) -> usize {
        let word = self.word.load(Ordering::Relaxed);
        if word == 0 || self.millis(now()) >= word >> PLACE {
            return 0;
        }
        usize::try_from(word & ((1 << PLACE) - 1)).unwrap_or(0)
    }

    /// Target `place` has taken over.
    pub(super) fn set(&self, place: usize, now: Instant) {
        if self.over.is_zero() {
            return;
        }
        let place = u64::try_from(place).unwrap_or(0);
        let until = now
            .checked_add(self.over)
            .map_or(0, |until| self.millis(until));
        // The primary has no end: it is what is asked first anyway.
        let word = if place == 0 {
            0
        } else {
            until.min(u64::MAX >> PLACE) << PLACE | place
        };
        self.word.store(word, Ordering::Relaxed);
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_took_over_is_asked_first_for_a_while() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let sticky = Sticky::new(Duration::from_secs(60), start);
        assert_eq!(sticky.place(|| at(0)), 0);
        sticky.set(3, at(10));
        assert_eq!(
            [10, 69, 70, 1000].map(|s| sticky.place(|| at(s))),
            [3, 3, 0, 0]
        );
        sticky.set(MAX_TARGETS - 1, at(20));
        assert_eq!(sticky.place(|| at(20)), MAX_TARGETS - 1);
        sticky.set(0, at(30));
        assert_eq!(sticky.place(|| at(30)), 0);
    }

    #[test]
    fn without_a_span_nobody_takes_over() {
        let start = Instant::now();
        let sticky = Sticky::new(Duration::ZERO, start);
        sticky.set(1, start);
        assert_eq!(sticky.place(|| start), 0);
    }
}

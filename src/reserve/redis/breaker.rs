//! When the store is left alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Closed while the store answers; open after so many failures in a row. Then one call each time the span is over finds out.
///
/// Relaxed throughout: a call that reads a moment late is as one that came a moment earlier.
#[derive(Debug)]
pub(crate) struct Breaker {
    start: Instant,
    threshold: u32,
    open_for: Duration,
    failures: AtomicU32,
    /// Nanoseconds since the start from which one may try; 0 while closed.
    until: AtomicU64,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, open_for: Duration) -> Self {
        Self {
            start: Instant::now(),
            threshold,
            open_for,
            failures: AtomicU32::new(0),
            until: AtomicU64::new(0),
        }
    }

    /// Whether the store may be asked now. A probe that is never heard of again holds nothing: the next one may go when its time has come.
    pub(crate) fn admits(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == 0 || self.takes_probe(until, self.now())
    }

    /// Whether it is time for a probe, and nobody else sends it.
    fn takes_probe(&self, until: u64, now: u64) -> bool {
        now >= until
            && self
                .until
                .compare_exchange(until, self.after(now), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.until.store(0, Ordering::Relaxed);
    }

    /// Whether this failure has opened it.
    pub(crate) fn failed(&self) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        before >= self.threshold - 1
            && self.until.swap(self.after(self.now()), Ordering::Relaxed) == 0
    }

    /// How long until the store may be asked; zero while it may.
    pub(super) fn wait(&self) -> Duration {
        let until = self.until.load(Ordering::Relaxed);
        Duration::from_nanos(until.saturating_sub(self.now()))
    }

    /// Whether the last call was answered, or there was none.
    pub(super) fn is_sound(&self) -> bool {
        self.failures.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_open(&self) -> bool {
        self.until.load(Ordering::Relaxed) > 0
    }

    fn now(&self) -> u64 {
        let since = Instant::now().saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn after(&self, now: u64) -> u64 {
        let span = u64::try_from(self.open_for.as_nanos()).unwrap_or(u64::MAX);
        now.saturating_add(span).max(1)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_one_probe_at_a_time_finds_out() {
        let breaker = Breaker::new(2, SECOND);
        assert!(!breaker.failed());
        breaker.succeeded();
        assert!(!breaker.failed());
        assert!(breaker.admits());
        assert!(breaker.failed());
        assert!(breaker.is_open() && !breaker.admits());
        assert_eq!(breaker.wait(), SECOND);
        advance(SECOND).await;
        // One that is under way keeps the others waiting.
        assert!(breaker.admits());
        assert!(!breaker.admits());
        assert!(!breaker.failed());
        advance(SECOND / 2).await;
        assert!(!breaker.admits());
        advance(SECOND / 2).await;
        assert!(breaker.admits());
        breaker.succeeded();
        assert!(breaker.admits() && breaker.admits() && !breaker.is_open());
    }

    #[cfg(loom)]
    #[test]
    fn loom_one_of_two_callers_finds_out() {
        loom::model(|| {
            let breaker = std::sync::Arc::new(Breaker::new(1, SECOND));
            assert!(breaker.failed());
            let now = breaker.until.load(Ordering::Relaxed);
            let probes = move |breaker: &Breaker| {
                breaker.takes_probe(breaker.until.load(Ordering::Relaxed), now)
            };
            let other = std::sync::Arc::clone(&breaker);
            let other = loom::thread::spawn(move || probes(&other));
            let mine = probes(&breaker);
            assert_ne!(other.join().unwrap(), mine);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_never_heard_of_again_does_not_keep_it_open() {
        let breaker = Breaker::new(1, SECOND);
        assert!(breaker.failed());
        for _ in 0..3 {
            advance(SECOND).await;
            assert!(breaker.admits());
        }
    }
}

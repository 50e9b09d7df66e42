//! What became of requests whose first target failed.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of requests since the layer was built. Those that the first target answered are not counted: they cost nothing.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FallbackCounts {
    /// Requests that went on to another target.
    pub fell_back: u64,
    /// Of those, the ones that another target answered.
    pub rescued: u64,
    /// Of those, the ones that no target answered.
    pub exhausted: u64,
    /// Requests that began with a target that had taken over.
    pub sticky: u64,
    /// Requests that waited, as every target was open.
    pub waited: u64,
    /// Requests that found no place to wait.
    pub queue_full: u64,
    /// Requests that wait now.
    pub waiting: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    fell_back: AtomicU64,
    rescued: AtomicU64,
    exhausted: AtomicU64,
    sticky: AtomicU64,
    waited: AtomicU64,
    queue_full: AtomicU64,
}

impl Counters {
    pub(super) fn counts(&self, waiting: usize) -> FallbackCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FallbackCounts {
            fell_back: get(&self.fell_back),
            rescued: get(&self.rescued),
            exhausted: get(&self.exhausted),
            sticky: get(&self.sticky),
            waited: get(&self.waited),
            queue_full: get(&self.queue_full),
            waiting,
        }
    }

    pub(super) fn fell_back(&self) {
        count(&self.fell_back);
    }

    /// The end of a request that fell back.
    pub(super) fn ended(&self, rescued: bool) {
        count(if rescued {
            &self.rescued
        } else {
            &self.exhausted
        });
    }

    pub(super) fn sticky(&self) {
        count(&self.sticky);
    }

    pub(super) fn queued(&self, entered: bool) {
        count(if entered {
            &self.waited
        } else {
            &self.queue_full
        });
    }
}

fn count(counter: &AtomicU64) {
    // A count alone: no other memory hangs on it.
    counter.fetch_add(1, Ordering::Relaxed);
}

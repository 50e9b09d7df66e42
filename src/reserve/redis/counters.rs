use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::store::Store;

/// What a [`RedisLimiter`](super::RedisLimiter) and its replicas of other scopes have seen, since it was built.
#[derive(Debug, Clone)]
pub struct RedisHandle {
    store: Arc<Store>,
}

/// One number of the counters.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) answered: Count,
    pub(super) failed: Count,
    pub(super) skipped: Count,
    pub(super) uncounted: Count,
    pub(super) refused: Count,
    pub(super) stood_in: Count,
    pub(super) settled: Count,
    pub(super) unsettled: Count,
    pub(super) forgiven: Count,
}

impl Count {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl RedisHandle {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Calls that the server answered in time.
    pub fn answered(&self) -> u64 {
        self.store.counters.answered.get()
    }

    /// Calls that it did not answer in time, or with an error.
    pub fn failed(&self) -> u64 {
        self.store.counters.failed.get()
    }

    /// Calls for which it was not asked, because it had not answered those before.
    pub fn skipped(&self) -> u64 {
        self.store.counters.skipped.get()
    }

    /// Whether it is left alone at the moment.
    pub fn is_open(&self) -> bool {
        self.store.breaker.is_open()
    }

    /// Reservations that were admitted without it, by [`FailOpen`](super::OnStoreFailure::FailOpen).
    pub fn uncounted(&self) -> u64 {
        self.store.counters.uncounted.get()
    }

    /// Reservations that were refused without it, by [`FailClosed`](super::OnStoreFailure::FailClosed) or because they are more than
    /// a share.
    pub fn refused(&self) -> u64 {
        self.store.counters.refused.get()
    }

    /// Reservations that were decided by this replica's share, by [`Local`](super::OnStoreFailure::Local).
    pub fn stood_in(&self) -> u64 {
        self.store.counters.stood_in.get()
    }

    /// Settlements that the server has taken.
    pub fn settled(&self) -> u64 {
        self.store.counters.settled.get()
    }

    /// Settlements that were lost, because the queue was full or the server failed while it was told: what was reserved then counts until it
    /// has flowed back, and what was owed is forgiven.
    pub fn unsettled(&self) -> u64 {
        self.store.counters.unsettled.get()
    }

    /// Settlements that wait to be told.
    pub fn queued(&self) -> usize {
        self.store.queued()
    }

    /// How much was used beyond what may be owed, of all dimensions together.
    pub fn forgiven(&self) -> u64 {
        self.store.counters.forgiven.get()
    }
}

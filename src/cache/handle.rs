use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::Request;

use super::{CacheKey, Purge, layer::Shared};
use crate::message::{RequestBody, catalog::Cost};

/// Purges a running [`CacheLayer`](super::CacheLayer), and shows what it does.
#[derive(Debug, Clone)]
pub struct CacheHandle {
    shared: Arc<Shared>,
}

/// What a cache has done since it was built.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Requests that were answered with what was kept.
    pub hits: u64,
    /// Of those, the ones that were answered with what was older than it should be.
    pub stale: u64,
    /// Requests that shared the answer to another that was under way.
    pub shared: u64,
    /// Requests for the cache whose answer had to be asked for.
    pub misses: u64,
    /// Answers that were kept.
    pub kept: u64,
    /// What the answers that were given again had cost, as far as that is known.
    pub saved: Cost,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) stale: Counter,
    pub(super) shared: Counter,
    pub(super) misses: Counter,
    pub(super) kept: Counter,
    /// In pico-USD: as much as 18 million USD.
    pub(super) saved: Counter,
}

/// A count; no other memory hangs on it.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl CacheHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Forgets what `purge` names. What is asked for already is not kept any more when it comes, and not shared with those who ask from now
    /// on.
    pub async fn purge(&self, purge: Purge) {
        // Before and after: what ends meanwhile is not kept, nor what the store has not forgotten yet when it does.
        self.shared.purged();
        self.shared.store.purge(&purge).await;
        self.shared.purged();
    }

    /// What the answer to `request` is kept under, as it comes to the layer; `None` where it belongs to nobody, or cannot be read.
    pub fn key_of(&self, request: &Request<RequestBody>) -> Option<CacheKey> {
        self.shared.key_of(request).ok().flatten()
    }

    /// What was done so far.
    pub fn counts(&self) -> CacheCounts {
        let counters = &self.shared.counters;
        CacheCounts {
            hits: counters.hits.get(),
            stale: counters.stale.get(),
            shared: counters.shared.get(),
            misses: counters.misses.get(),
            kept: counters.kept.get(),
            saved: Cost::from_pico_usd(counters.saved.get().into()),
        }
    }

    /// How many answers are kept and how many bytes they take, where the store knows.
    pub fn size(&self) -> Option<(u64, u64)> {
        self.shared.store.size()
    }

    /// How many calls are under way that others may share.
    pub fn in_flight(&self) -> usize {
        self.shared.flights.len()
    }
}

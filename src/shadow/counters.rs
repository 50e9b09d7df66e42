//! What the layer has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts; no other memory hangs on them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: AtomicU64,
    dropped: AtomicU64,
    compared: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self) -> &AtomicU64 {
        &self.sent
    }

    pub(super) fn dropped(&self) -> &AtomicU64 {
        &self.dropped
    }

    pub(super) fn compared(&self) -> &AtomicU64 {
        &self.compared
    }
}

pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

//! How many bytes of an answer a relay holds.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what the upstream has written of an answer and the caller has not read yet.
///
/// What of it is in the buffers of the connections counts too: 64 KiB each in memory, and what hyper reads ahead.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    held: AtomicU64,
    most: AtomicU64,
}

impl Gauge {
    /// Another attempt begins: what came of the one before is nobody's any more.
    pub(crate) fn begin(&self) {
        self.held.store(0, Ordering::SeqCst);
    }

    pub(crate) fn written(&self, bytes: usize) {
        let held = self.held.fetch_add(bytes as u64, Ordering::SeqCst) + bytes as u64;
        self.most.fetch_max(held, Ordering::SeqCst);
    }

    pub(crate) fn read(&self, bytes: usize) {
        let less = |held: u64| Some(held.saturating_sub(bytes as u64));
        let _ = self
            .held
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// The most that it ever was.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

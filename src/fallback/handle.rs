use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use super::{FallbackCounts, layer::Shared};

/// Switches a running [`FallbackLayer`](super::FallbackLayer) on and off, and shows what it does.
#[derive(Debug, Clone)]
pub struct FallbackHandle {
    shared: Arc<Shared>,
}

impl FallbackHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether failures go on to the next target. While it is off every request goes to the primary alone, and those that are on
    /// their way go no further.
    pub fn set_enabled(&self, enabled: bool) {
        self.shared.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Whether failures go on to the next target.
    pub fn is_enabled(&self) -> bool {
        self.shared.is_enabled()
    }

    /// The place in the chain of the target that requests begin with: 0, the primary, unless another has taken over.
    pub fn first(&self) -> usize {
        self.shared.sticky.place(Instant::now)
    }

    /// Begins with the primary again.
    pub fn reset(&self) {
        self.shared.sticky.set(0, Instant::now());
    }

    /// What became of requests so far.
    pub fn counts(&self) -> FallbackCounts {
        self.shared.counters.counts(self.shared.queue.waiting())
    }
}

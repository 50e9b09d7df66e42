use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{HedgeCounts, layer::Shared};
use crate::stats::Latency;

/// Switches a running [`HedgeLayer`](super::HedgeLayer) on and off, says how long it waits, and shows what it does.
#[derive(Debug, Clone)]
pub struct HedgeHandle {
    shared: Arc<Shared>,
}

impl HedgeHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether second attempts are made. While it is off every request goes to the primary alone; those that run already go on.
    pub fn set_enabled(&self, enabled: bool) {
        self.shared.record.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Whether second attempts are made.
    pub fn is_enabled(&self) -> bool {
        self.shared.is_enabled()
    }

    /// Waits this long for a first output from now on, in place of what was configured; `None` for that again. Requests that wait already
    /// wait as they did.
    pub fn set_delay(&self, delay: Option<Duration>) {
        self.shared.steered.set(delay);
    }

    /// How long every first output is waited for; `None` where that goes by percentile.
    pub fn fixed_delay(&self) -> Option<Duration> {
        self.shared
            .steered
            .get()
            .or_else(|| self.shared.patience.fixed())
    }

    /// How long the first output of a stream of `model` is waited for now, before there is a second attempt.
    pub fn delay(&self, model: &str) -> Duration {
        let series = self.shared.series(&self.shared.name, model);
        self.shared.delay(&series, Latency::FirstToken)
    }

    /// What became of requests so far.
    pub fn counts(&self) -> HedgeCounts {
        self.shared.record.counters.counts()
    }
}

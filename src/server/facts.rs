use std::sync::Arc;

use crate::{control::Controls, ledger::Ledger, stats::Stats};

/// What is known of a running relay: what a [`Status`](super::status::Status) shows and [`Alerts`](super::alerts::Alerts) watch. Clones are the same.
///
/// What is left out is empty.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Facts {
    pub(in crate::server) stats: Stats,
    pub(in crate::server) controls: Controls,
    pub(in crate::server) ledger: Option<Arc<dyn Ledger>>,
}

impl Facts {
    /// Requests, and how upstreams do: errors, latencies, breakers.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = stats.clone();
        self
    }

    /// What can be steered: rollouts, limits, budgets.
    pub fn controls(mut self, controls: &Controls) -> Self {
        self.controls = controls.clone();
        self
    }

    /// Where attempts are written down: one that sums them up, such as [`Totals`](crate::ledger::Totals). It knows what was spent, unknown
    /// prices and rejected keys.
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }
}

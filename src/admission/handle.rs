use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{AdmissionCounts, Limits, gates::Gates, layer::Shared};
use crate::key::{Holders, Key};

/// Shows and steers a running [`AdmissionLayer`](super::AdmissionLayer).
#[derive(Debug, Clone)]
pub struct AdmissionHandle {
    shared: Arc<Shared>,
}

/// How a key stands.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyState {
    /// How many of its requests are in flight.
    pub in_flight: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many may be in flight now.
    pub limit: usize,
}

impl AdmissionHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn gates(&self) -> &Arc<Gates> {
        &self.shared.gates
    }

    pub(super) fn holders(&self) -> &Holders {
        &self.shared.holders
    }

    /// How many requests are in flight, of all keys.
    pub fn in_flight(&self) -> usize {
        self.shared.gates.totals().in_flight.load(Relaxed)
    }

    /// How many wait, of all keys.
    pub fn waiting(&self) -> usize {
        self.shared.gates.totals().waiting.taken()
    }

    /// What has become of the requests so far.
    pub fn counts(&self) -> AdmissionCounts {
        self.shared.gates.counts()
    }

    /// How `key` stands; [`Key::GLOBAL`] where everyone is counted together.
    pub fn state(&self, key: &Key) -> KeyState {
        match self.shared.gates.known(key) {
            Some(gate) => gate.key_state(),
            None => KeyState {
                in_flight: 0,
                waiting: 0,
                limit: self.shared.gates.limits(key).in_flight,
            },
        }
    }

    /// How many keys have a limit of their own at the moment.
    pub fn keys(&self) -> usize {
        self.shared.gates.keys()
    }

    /// The limits of all keys from now on that have none of their own. Whoever is in flight or waits stays; those for whom there is
    /// room now are let in at once. An adaptive limit goes on from there.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.gates.set_default(limits);
    }

    /// The limits of `key` from now on; with `None` those that it would have without them.
    pub fn set_limits_for(&self, key: &Key, limits: Option<Limits>) {
        self.shared.gates.set(key, limits);
    }
}

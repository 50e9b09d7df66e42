use std::sync::Arc;

use tokio::time::Instant;

use super::{
    CircuitControl, CircuitState,
    layer::{Circuits, Shared},
};
use crate::{key::Key, stats::Subscription};

/// Shows and forces the circuits of a running [`CircuitBreakerLayer`](super::CircuitBreakerLayer).
///
/// A circuit is named by its [`Key`]: `Key::named("upstream", "openai")`, unless the layer counts
/// [by something else](super::CircuitBreakerBuilder::by). A key beyond
/// [`max_keys`](super::CircuitBreakerBuilder::max_keys) names the circuit that those share.
#[derive(Debug, Clone)]
pub struct CircuitBreakerHandle {
    shared: Arc<Shared>,
}

impl CircuitBreakerHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn circuits(&self) -> Arc<Circuits> {
        self.shared.circuits()
    }

    /// The keys that have a circuit of their own by now, sorted.
    pub fn keys(&self) -> Vec<Key> {
        self.shared.keys()
    }

    /// What the circuit of `key` does; closed where there is none yet.
    pub fn state(&self, key: &Key) -> CircuitState {
        self.shared
            .known(key)
            .map_or(CircuitState::Closed, |circuit| {
                circuit.state(Instant::now())
            })
    }

    /// Refuses all calls of `key` until [`reset`](Self::reset) or [`force_closed`](Self::force_closed).
    pub fn force_open(&self, key: &Key) {
        self.shared.circuit(key).force(true);
    }

    /// Passes all calls of `key` and judges none, until [`reset`](Self::reset) or [`force_open`](Self::force_open).
    pub fn force_closed(&self, key: &Key) {
        self.shared.circuit(key).force(false);
    }

    /// Closes the circuit of `key`, with nothing counted against it. Calls that are on their way no longer count.
    pub fn reset(&self, key: &Key) {
        self.shared.circuit(key).reset();
    }

    /// The circuit of `key`, for operators to see and force by name.
    pub fn control(&self, key: Key) -> CircuitControl {
        CircuitControl::new(self.clone(), key)
    }

    /// Follows the circuit of `key`. What time alone changes (that an open one may be probed, that a slow start is over) is
    /// told by [`Availability::at`](crate::stats::Availability::at), or heard of at the next call.
    pub fn subscribe(&self, key: &Key) -> Subscription {
        self.shared.circuit(key).cell().subscribe()
    }
}

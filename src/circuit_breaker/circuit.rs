//! One circuit as concurrent calls share it.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    CircuitState,
    policy::CircuitBreakerBuilder,
    state::{Admission, State},
};
use crate::{
    message::{Ours, Outcome},
    stats::AvailabilityCell,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

#[derive(Debug)]
pub(super) struct Circuit {
    /// [`State::gate`], so that a closed circuit is passed without the lock.
    ///
    /// Relaxed: the number is all that is read, and whatever it leads to is decided anew under the lock. Who reads it late is as
    /// one who called a moment earlier: the result counts in the generation that was read, and in no other.
    gate: AtomicU64,
    /// Held for some additions and, after a failure, the sum of ten slices. Nothing is called under it.
    inner: Mutex<Inner>,
    cell: Arc<AvailabilityCell>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    policy: Arc<CircuitBreakerBuilder>,
}

/// A call on its way. Whatever becomes of it, its place is given back.
#[derive(Debug)]
#[must_use]
pub(super) struct Guard {
    circuit: Arc<Circuit>,
    admission: Admission,
    is_settled: bool,
}

impl Circuit {
    pub(super) fn new(
        policy: Arc<CircuitBreakerBuilder>,
        cell: Arc<AvailabilityCell>,
        now: Instant,
    ) -> Self {
        let state = State::new(&policy, now);
        Self {
            gate: AtomicU64::new(state.gate()),
            inner: Mutex::new(Inner { state, policy }),
            cell,
        }
    }

    /// Whether a call may pass; if not, the wait to advise. `now` is only asked where the circuit is not closed.
    pub(super) fn admit(self: Arc<Self>, now: impl FnOnce() -> Instant) -> Result<Guard, Duration> {
        let admission = match self.gate.load(Ordering::Relaxed) {
            0 => {
                let now = now();
                self.change(|state, policy| state.admit(policy, now))?
            }
            generation => Admission {
                generation,
                probe: None,
            },
        };
        Ok(Guard {
            circuit: self,
            admission,
            is_settled: false,
        })
    }

    pub(super) fn force(&self, open: bool) {
        self.change(|state, _| state.force(open));
    }

    pub(super) fn reset(&self) {
        self.change(|state, _| state.reset());
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        let inner = self.lock();
        inner.state.at(&inner.policy, now)
    }

    pub(super) fn cell(&self) -> &AvailabilityCell {
        &self.cell
    }

    /// Goes by `policy` from here on. The state stays; what was counted does too, unless that is over another window.
    #[cfg(feature = "gateway")]
    pub(super) fn refit(&self, policy: Arc<CircuitBreakerBuilder>, now: Instant) {
        let mut inner = self.lock();
        if inner.policy.window != policy.window {
            inner.state.forget_calls(&policy, now);
        }
        inner.policy = policy;
        drop(inner);
        // How fast a slow start goes is published with it.
        self.publish();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, &CircuitBreakerBuilder) -> T) -> T {
        let mut inner = self.lock();
        let Inner { state, policy } = &mut *inner;
        let before = state.revision();
        let result = change(state, policy);
        let is_same = state.revision() == before;
        if !is_same {
            self.gate.store(state.gate(), Ordering::Relaxed);
        }
        drop(inner);
        if !is_same {
            self.publish();
        }
        result
    }

    /// Publishes what holds now, outside the lock, as it wakes others. Who finds that it published what holds no longer does so
    /// again; so the last to publish has published the last.
    fn publish(&self) {
        let current = || {
            let inner = self.lock();
            let Inner { state, policy } = &*inner;
            (state.revision(), state.availability(policy))
        };
        let (mut revision, mut availability) = current();
        loop {
            self.cell.publish(availability);
            let published = revision;
            (revision, availability) = current();
            if revision == published {
                return;
            }
        }
    }
}

impl Guard {
    /// The operator's own opinion of errors.
    pub(super) fn opinion(&self) -> Ours {
        self.circuit.lock().policy.classify.clone()
    }

    /// Counts what came of the call.
    pub(super) fn settle(mut self, outcome: Outcome, now: Instant) {
        self.is_settled = true;
        self.circuit
            .change(|state, policy| state.settle(policy, now, self.admission, outcome));
    }

    #[cfg(test)]
    pub(super) fn admission(&self) -> Admission {
        self.admission
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_settled && self.admission.probe.is_some() {
            self.circuit
                .change(|state, _| state.release(self.admission));
        }
    }
}

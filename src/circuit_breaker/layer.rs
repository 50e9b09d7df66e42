use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arc_swap::ArcSwap;
use http::Request;
use tokio::time::Instant;
use tower_layer::Layer;

use super::{CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerHandle, circuit::Circuit};
use crate::{
    key::{Key, KeyBy},
    message::{ApiError, Chosen, RequestBody},
    stats::AvailabilityCell,
};

/// Leaves an upstream alone while it fails.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct CircuitBreakerLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
pub(super) struct Shared {
    pub(super) policy: Arc<CircuitBreakerBuilder>,
    /// The circuit of the first upstream: most layers stand in the stack of one, and need no map.
    first: OnceLock<(Option<Chosen>, Arc<Circuit>)>,
    circuits: Arc<Circuits>,
}

/// The circuits by key, which outlive the layer where another [takes its place](CircuitBreakerLayer::take_over).
#[derive(Debug)]
pub(super) struct Circuits {
    /// Copied as a whole when a key is added, which is rare; read without a lock.
    by_key: ArcSwap<HashMap<Key, Arc<Circuit>>>,
    /// What new circuits go by; taken by those who add keys.
    adding: Mutex<Arc<CircuitBreakerBuilder>>,
}

impl CircuitBreakerLayer {
    /// Settings to choose before [`build`](CircuitBreakerBuilder::build).
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::default()
    }

    pub(super) fn from_policy(mut policy: CircuitBreakerBuilder) -> Self {
        let before = policy.before.take();
        let policy = Arc::new(policy);
        let circuits = match before {
            Some(before) => before.circuits(),
            None => Arc::new(Circuits {
                by_key: ArcSwap::default(),
                adding: Mutex::new(Arc::clone(&policy)),
            }),
        };
        Self {
            shared: Arc::new(Shared {
                policy,
                first: OnceLock::new(),
                circuits,
            }),
        }
    }

    /// Puts its settings in force for the circuits that it has from [another layer](CircuitBreakerBuilder::continuing).
    #[cfg(feature = "gateway")]
    pub(crate) fn take_over(&self) -> impl FnOnce() + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.circuits.refit(&shared.policy)
    }

    /// What shows and forces the circuits while requests flow.
    pub fn handle(&self) -> CircuitBreakerHandle {
        CircuitBreakerHandle::new(Arc::clone(&self.shared))
    }
}

impl Default for CircuitBreakerLayer {
    /// One with the defaults of [`CircuitBreakerBuilder`].
    fn default() -> Self {
        Self::from_policy(CircuitBreakerBuilder::default())
    }
}

impl Circuits {
    #[cfg(feature = "gateway")]
    fn refit(&self, policy: &Arc<CircuitBreakerBuilder>) {
        let adding = self.adding.lock();
        let mut adding = adding.unwrap_or_else(PoisonError::into_inner);
        Arc::clone_from(&mut adding, policy);
        let circuits = self.by_key.load_full();
        // Publishing wakes others: not under the lock.
        drop(adding);
        for circuit in circuits.values() {
            circuit.refit(Arc::clone(policy), Instant::now());
        }
    }
}

impl Shared {
    pub(super) fn circuits(&self) -> Arc<Circuits> {
        Arc::clone(&self.circuits)
    }

    /// The circuit that `request` is counted in; `None` where it is exempt.
    pub(super) fn circuit_of(
        &self,
        request: &Request<RequestBody>,
    ) -> Result<Option<Arc<Circuit>>, ApiError> {
        if let Some(by) = &self.policy.by {
            return Ok(by.key_of(request)?.map(|key| self.circuit(&key)));
        }
        let by_upstream = || match KeyBy::upstream().key_of(request) {
            Ok(Some(key)) => self.circuit(&key),
            // It is neither exempt nor refused, unless `KeyBy` is told so.
            Ok(None) | Err(_) => self.circuit(&Key::GLOBAL),
        };
        let chosen = request.extensions().get::<Chosen>();
        let (first, circuit) = self.first.get_or_init(|| (chosen.cloned(), by_upstream()));
        Ok(Some(if first.as_ref() == chosen {
            Arc::clone(circuit)
        } else {
            by_upstream()
        }))
    }

    /// The circuit of `key`, or that of all keys for which there is no room.
    pub(super) fn circuit(&self, key: &Key) -> Arc<Circuit> {
        if let Some(circuit) = self.known(key) {
            return circuit;
        }
        let adding = self.circuits.adding.lock();
        let policy = adding.unwrap_or_else(PoisonError::into_inner);
        if let Some(circuit) = self.known(key) {
            return circuit;
        }
        let current = self.circuits.by_key.load();
        let other = Key::named("other", "other");
        let key = if current.len() < self.policy.max_keys {
            key
        } else if let Some(circuit) = current.get(&other) {
            return Arc::clone(circuit);
        } else {
            &other
        };
        let circuit = Arc::new(Circuit::new(
            Arc::clone(&policy),
            self.cell(key),
            Instant::now(),
        ));
        let mut more = HashMap::clone(&current);
        more.insert(key.clone(), Arc::clone(&circuit));
        self.circuits.by_key.store(Arc::new(more));
        circuit
    }

    pub(super) fn known(&self, key: &Key) -> Option<Arc<Circuit>> {
        self.circuits.by_key.load().get(key).cloned()
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<_> = self.circuits.by_key.load().keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Where the availability of `key` is published: for all to see where it is an upstream.
    fn cell(&self, key: &Key) -> Arc<AvailabilityCell> {
        let shown = key.to_string();
        match (&self.policy.stats, shown.strip_prefix("upstream:")) {
            (Some(stats), Some(upstream)) => stats.availability(upstream),
            _ => Arc::default(),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("policy", &self.policy)
            .field("keys", &self.circuits.by_key.load().len())
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> CircuitBreaker<S> {
        CircuitBreaker::new(inner, Arc::clone(&self.shared))
    }
}

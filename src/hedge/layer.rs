use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{Hedge, HedgeBuilder, HedgeHandle, counters::Counters, state::Patience};
use crate::{
    client::Target,
    message::{AllowedUpstreams, Endpoint, HeldCap, RequestBody},
    reserve::RetryBudget,
    stats::{Latency, Series, Standing, Stats},
};

/// Makes a second attempt elsewhere when the first is slow, and answers with whichever says something first.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct HedgeLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) patience: Patience,
    /// What is waited in its place, where an operator has said so.
    pub(super) steered: Arc<SteeredDelay>,
    pub(super) attempts: u32,
    pub(super) max_hedges: usize,
    pub(super) budget: RetryBudget,
    /// The budget's share and burst, where it is the layer's own.
    pub(super) own_budget: Option<(u32, u32)>,
    /// What all answers together may hold before their first output.
    pub(super) held: Arc<HeldCap>,
    /// How long first outputs took.
    pub(super) spans: Stats,
    pub(super) window: Duration,
    pub(super) record: Arc<Record>,
    /// The primary's name.
    pub(super) name: Arc<str>,
    pub(super) header: Option<HeaderValue>,
    pub(super) others: Vec<Other>,
}

/// Whether it is on, and what was done so far, which outlives the layer where another takes its place.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) enabled: AtomicBool,
    pub(super) counters: Counters,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            enabled: true.into(),
            counters: Counters::default(),
        }
    }
}

/// A delay that was set at run time, in nanoseconds; more than there can be, where none was.
#[derive(Debug)]
pub(super) struct SteeredDelay(AtomicU64);

impl Default for SteeredDelay {
    fn default() -> Self {
        Self(u64::MAX.into())
    }
}

impl SteeredDelay {
    const MAX: u64 = u64::MAX - 1;

    pub(super) fn set(&self, delay: Option<Duration>) {
        let nanos = |delay: Duration| {
            let nanos = u64::try_from(delay.as_nanos());
            nanos.unwrap_or(Self::MAX).min(Self::MAX)
        };
        // A value alone: no other memory hangs on it.
        self.0
            .store(delay.map_or(u64::MAX, nanos), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos <= Self::MAX).then(|| Duration::from_nanos(nanos))
    }
}

/// One that a second attempt may be made at.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) target: Target,
    pub(super) header: Option<HeaderValue>,
    pub(super) standing: Standing,
}

impl HedgeLayer {
    /// Settings to choose before [`build`](HedgeBuilder::build).
    pub fn builder() -> HedgeBuilder {
        HedgeBuilder::default()
    }

    /// What switches it on and off, and shows what it does.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(Arc::clone(&self.shared))
    }

    pub(super) fn of(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    pub(super) fn is_enabled(&self) -> bool {
        self.record.enabled.load(Ordering::Relaxed)
    }

    /// How long first outputs of `model` took at `target`.
    pub(super) fn series(&self, target: &str, model: &str) -> Arc<Series> {
        self.spans.series(target, model, Instant::now())
    }

    /// How long a first output is waited for.
    pub(super) fn delay(&self, series: &Series, latency: Latency) -> Duration {
        let quantile = |share| series.recent_quantile(Instant::now(), latency, share);
        let steered = self.steered.get();
        steered.unwrap_or_else(|| self.patience.delay(quantile))
    }

    /// The first other target that can take `request`.
    pub(super) fn other(&self, request: &Request<RequestBody>) -> Option<&Other> {
        let endpoint = Endpoint::of(request);
        let allowed: Option<&AllowedUpstreams> = request.extensions().get();
        let now = Instant::now();
        self.others.iter().find(|other| {
            other.target.serves_endpoint(endpoint)
                && allowed.is_none_or(|allowed| other.target.is_allowed(allowed))
                && other.standing.availability(|| now).weight(now) > 0
        })
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Hedge<S> {
        Hedge::new(inner, Arc::clone(&self.shared))
    }
}

use std::{
    fmt,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tower_layer::Layer;

use super::{
    RateLimit, RateLimitBuilder, RateLimitHandle,
    learned::Learned,
    policy::{OutputEstimate, Side, UnknownUsage},
    queue::Queue,
    quotas::Quotas,
};
use crate::{
    key::{Holders, KeyBy},
    message::estimate::{TokenEstimator, Typical},
    reserve::{Limiter, LocalLimiter},
};

/// Admits so many requests and tokens per time and key.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
pub(super) struct Shared {
    pub(super) side: Side,
    pub(super) by: KeyBy,
    pub(super) quotas: Quotas,
    /// Whom an operator can change a quota for.
    pub(super) holders: Holders,
    pub(super) limiter: Arc<dyn Limiter>,
    /// The same, where it is in this process.
    pub(super) local: Option<Arc<LocalLimiter>>,
    pub(super) estimator: TokenEstimator,
    pub(super) output: OutputEstimate,
    pub(super) default_output: u64,
    pub(super) typical: Arc<Typical>,
    pub(super) unknown_usage: UnknownUsage,
    /// Whether callers are told what they have left.
    pub(super) tells: bool,
    pub(super) wait: Duration,
    pub(super) queue: Arc<Queue>,
    /// Requests that were admitted and are not settled. A count and nothing else: no other memory hangs on it.
    pub(super) in_flight: Arc<AtomicUsize>,
    pub(super) learned: Option<Arc<Learned>>,
}

impl RateLimitLayer {
    /// Settings to choose before [`build`](RateLimitBuilder::build).
    pub fn builder() -> RateLimitBuilder {
        RateLimitBuilder::default()
    }

    pub(super) fn of(builder: RateLimitBuilder, by: KeyBy, quotas: Quotas) -> Self {
        let before = builder.before.as_ref().map(RateLimitHandle::shared);
        let (limiter, local) = if let Some(limiter) = builder.limiter {
            (limiter, None)
        } else {
            let local = before.and_then(|before| before.local.clone());
            let local = local.filter(|local| local.max_keys() == builder.max_keys);
            let local = local.unwrap_or_else(|| Arc::new(LocalLimiter::new(builder.max_keys)));
            (Arc::clone(&local) as Arc<dyn Limiter>, Some(local))
        };
        let learned = before.and_then(|before| before.learned.clone());
        let learned = learned.filter(|learned| learned.max_hold() == builder.max_hold);
        let learned = || learned.unwrap_or_else(|| Arc::new(Learned::new(builder.max_hold)));
        let bounds = (builder.max_waiting, builder.max_waiting_per_key);
        let queue = before.map(|before| Arc::clone(&before.queue));
        let queue = queue.filter(|queue| queue.bounds() == bounds);
        let learns = builder.side == Side::Provider && builder.learn;
        let shared = Shared {
            side: builder.side,
            by,
            quotas,
            holders: builder.holders,
            limiter,
            local,
            estimator: builder.estimator,
            output: builder.output,
            default_output: builder.default_output,
            typical: before.map_or_else(
                || Arc::new(Typical::new()),
                |before| Arc::clone(&before.typical),
            ),
            unknown_usage: builder.unknown_usage,
            tells: builder.headers && builder.side == Side::Tenant,
            wait: builder.wait,
            queue: queue.unwrap_or_else(|| Arc::new(Queue::new(bounds.0, bounds.1))),
            in_flight: before.map_or_else(Arc::default, |before| Arc::clone(&before.in_flight)),
            learned: learns.then(learned),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What shows and changes quotas and buckets while requests flow.
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle::new(Arc::clone(&self.shared))
    }
}

impl Shared {
    /// Whether a request may have to wait before it is passed on.
    pub(super) fn may_wait(&self) -> bool {
        !self.wait.is_zero() || self.local.is_none()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("side", &self.side)
            .field("by", &self.by)
            .field("quotas", &self.quotas)
            .field("wait", &self.wait)
            .field("waiting", &self.queue.waiting())
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, Arc::clone(&self.shared))
    }
}

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{HeaderValue, Request};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    SplitReason, StickyBy, TrafficSplit, TrafficSplitBuilder, TrafficSplitHandle,
    rollout::RolloutShared,
    state::{Admission, Weights},
};
use crate::{
    client::Target,
    message::{AllowedUpstreams, Effects, Endpoint, RequestBody},
    random::Random,
    stats::Standing,
};

/// Splits requests among targets by weight.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct TrafficSplitLayer {
    shared: Arc<Shared>,
}

pub(super) type Eligible = Arc<dyn Fn(&Request<RequestBody>) -> bool + Send + Sync>;

/// What all services of one layer share.
pub(super) struct Shared {
    /// The baseline, and then the others.
    pub(super) members: Vec<Member>,
    /// What sets each member's draws apart from the others'.
    pub(super) seeds: Vec<u64>,
    pub(super) steering: Arc<Steering>,
    pub(super) sticky: StickyBy,
    pub(super) allow_override: bool,
    pub(super) eligible: Option<Eligible>,
    pub(super) random: Random,
}

/// What changes while requests flow. It outlives the layer where another goes on with it.
#[derive(Debug)]
pub(super) struct Steering {
    pub(super) names: Box<[Arc<str>]>,
    /// The weights as they were set at first.
    pub(super) set: Weights,
    pub(super) weights: ArcSwap<Weights>,
    /// Who judges the targets.
    pub(super) rollout: ArcSwapOption<RolloutShared>,
}

/// One that requests are split among.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) header: Option<HeaderValue>,
    /// `None` for a baseline that is another service; a baseline is called through the service in any case.
    pub(super) target: Option<Target>,
    pub(super) standing: Standing,
    /// Requests that were sent to it.
    pub(super) count: Arc<AtomicU64>,
}

impl Member {
    pub(super) fn service(name: Arc<str>) -> Self {
        Self {
            name,
            header: None,
            target: None,
            standing: Standing::new(None, Instant::now()),
            count: Arc::default(),
        }
    }

    pub(super) fn target(target: Target) -> Self {
        let name = Arc::clone(target.name());
        Self {
            target: Some(target),
            ..Self::service(name)
        }
    }
}

impl TrafficSplitLayer {
    /// Settings to choose before [`build`](TrafficSplitBuilder::build).
    pub fn builder() -> TrafficSplitBuilder {
        TrafficSplitBuilder::default()
    }

    /// What shows and changes the weights while requests flow.
    pub fn handle(&self) -> TrafficSplitHandle {
        TrafficSplitHandle::new(Arc::clone(&self.shared))
    }

    pub(super) fn of(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| &*member.name == name)
    }

    /// The number of the request's key, or any.
    fn number(&self, request: &Request<RequestBody>) -> u64 {
        let number = self.sticky.number(request);
        number.unwrap_or_else(|| self.random.next())
    }

    /// Where `request` goes, and why.
    pub(super) fn choose(&self, request: &Request<RequestBody>) -> (usize, SplitReason) {
        let endpoint = Endpoint::of(request);
        if endpoint == Endpoint::Models || Effects::of(request) != Effects::Generate {
            return (0, SplitReason::Stateful);
        }
        if self.eligible.as_ref().is_some_and(|may| !may(request)) {
            return (0, SplitReason::NotEligible);
        }
        let weights = self.steering.weights.load();
        if let Some(forced) = weights.forced {
            return (forced, SplitReason::Forced);
        }
        let allowed = request.extensions().get::<AllowedUpstreams>();
        let serves = |place: usize| {
            let member = self.members.get(place);
            let target = member.and_then(|member| member.target.as_ref());
            target.is_none_or(|target| {
                target.serves_endpoint(endpoint)
                    && allowed.is_none_or(|allowed| target.is_allowed(allowed))
            })
        };
        let mut number = None;
        let chosen = weights.place(&self.seeds, serves, || *number.insert(self.number(request)));
        // Where none with a weight may have it, the baseline says so.
        let Some(chosen) = chosen else {
            return (0, SplitReason::Weight);
        };
        let number = || number.unwrap_or_else(|| self.number(request));
        match self.spread(&weights, chosen, serves, number) {
            Some(other) if other != chosen => (other, SplitReason::Spread),
            _ => (chosen, SplitReason::Weight),
        }
    }

    /// Who takes the request in place of `chosen`, if that may not have it. Nobody, where none with a weight may.
    fn spread(
        &self,
        weights: &Weights,
        chosen: usize,
        serves: impl Fn(usize) -> bool,
        number: impl FnOnce() -> u64,
    ) -> Option<usize> {
        let member = self.members.get(chosen)?;
        let mut now = None;
        let mut now = || *now.get_or_insert_with(Instant::now);
        match Admission::of(member.standing.availability(&mut now)) {
            // A lower weight of another changes nothing about who won.
            Admission::Whole => return None,
            Admission::Probe => {
                if member.standing.takes_probe(now()) {
                    return None;
                }
            }
            Admission::Reduced => {}
        }
        let now = now();
        let share = |place: usize| {
            let member = self.members.get(place);
            member.map_or(0, |member| member.standing.availability(|| now).weight(now))
        };
        weights.place_available(&self.seeds, serves, share, number())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("members", &self.members)
            .field("weights", &self.steering.weights.load())
            .field("sticky", &self.sticky)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TrafficSplitLayer {
    type Service = TrafficSplit<S>;

    fn layer(&self, inner: S) -> TrafficSplit<S> {
        TrafficSplit::new(inner, Arc::clone(&self.shared))
    }
}

use std::{
    borrow::Cow,
    cell::Cell,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Request;
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    Balance, BalanceBuilder, BalanceHandle, Policy,
    member::{Kind, Member},
    places::Places,
    state::{self, Shares},
};
use crate::{
    client::Target,
    key::StickyBy,
    message::{
        AllowedUpstreams, Endpoint, RequestBody,
        catalog::{Cost, ModelCatalog},
        estimate::TokenEstimator,
        usage::Usage,
    },
    random::Random,
    reserve::AttemptLimit,
    stats::Availability,
    wire::clock,
};

/// What a request without a cap is taken to get of answer, in tokens, where costs are compared.
const TYPICAL_OUTPUT: u64 = 500;

/// Gives each request to the member that is likely to answer it soonest.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct BalanceLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The baseline, and then the others.
    pub(super) members: Vec<Member>,
    pub(super) policy: Policy,
    pub(super) sticky: Option<StickyBy>,
    pub(super) load_factor: f64,
    pub(super) decay: Duration,
    pub(super) ramp: Duration,
    /// Whether any member says which models it serves.
    pub(super) names_models: bool,
    pub(super) catalog: ModelCatalog,
    pub(super) random: Random,
}

impl BalanceLayer {
    /// Settings to choose before [`build`](BalanceBuilder::build).
    pub fn builder() -> BalanceBuilder {
        BalanceBuilder::default()
    }

    /// What shows the members, and takes one out and puts it back.
    pub fn handle(&self) -> BalanceHandle {
        BalanceHandle::new(Arc::clone(&self.shared))
    }

    pub(super) fn of(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    /// The place of the member that `request` is given to.
    pub(super) fn choose(
        &self,
        request: &Request<RequestBody>,
        endpoint: Endpoint,
        kind: Kind,
        now: Instant,
    ) -> usize {
        let fit = self.fit(request, endpoint);
        let probing = Cell::new(Places::default());
        let shares = Shares::of(fit, |place| {
            let Some(member) = self.members.get(place) else {
                return 0.0;
            };
            let availability = member.standing.availability(|| now);
            if availability == Availability::Probing && !member.is_drained() {
                probing.set(probing.get().with(place));
            }
            member.share(availability, now, self.ramp)
        });
        let is_due = |place: &usize| {
            let member = self.members.get(*place);
            member.is_some_and(|member| member.standing.takes_probe(now))
        };
        if let Some(place) = probing.get().iter().find(is_due) {
            return place;
        }
        let key = self.sticky.as_ref().and_then(|by| by.number(request));
        let number = key.unwrap_or_else(|| self.random.next());
        let taking_part = shares.taking_part(|place| self.seed(place), number);
        let chosen = if taking_part.is_empty() {
            self.soonest(fit, number)
        } else if key.is_some() {
            self.home(taking_part, number, &shares)
        } else {
            self.best(taking_part, number, request, kind, now)
        };
        // Where none serves the endpoint, the baseline says so.
        chosen.unwrap_or(0)
    }

    /// Those that may answer the request at all.
    fn fit(&self, request: &Request<RequestBody>, endpoint: Endpoint) -> Places {
        let extensions = request.extensions();
        let allowed: Option<&AllowedUpstreams> = extensions.get();
        let is_fit = |target: &Target| {
            target.serves_endpoint(endpoint)
                && allowed.is_none_or(|allowed| target.is_allowed(allowed))
        };
        let mut fit = Places::of(self.members.len(), |place| {
            self.target(place).is_none_or(is_fit)
        });
        if self.names_models
            && let Some(model) = request.body().model()
        {
            fit = fit.preferring(|place| {
                let target = self.target(place);
                target.is_none_or(|target| target.serves_model(&model))
            });
        }
        // Another attempt is better made elsewhere.
        match AttemptLimit::of(extensions) {
            Some(limit) => fit.preferring(|place| {
                let member = self.members.get(place);
                member.is_some_and(|member| !limit.has_been_at(&member.name))
            }),
            None => fit,
        }
    }

    /// The one that takes requests again first, where nobody does now.
    fn soonest(&self, fit: Places, number: u64) -> Option<usize> {
        let drained = |place| self.members.get(place).is_some_and(Member::is_drained);
        let fit = fit.preferring(|place| !drained(place));
        let now = Instant::now();
        let until = |place| {
            let member: Option<&Member> = self.members.get(place);
            match member.map(|member| member.standing.availability(|| now)) {
                Some(Availability::Unavailable { until }) => (until.is_none(), until),
                _ => (false, None),
            }
        };
        state::least(fit, number, until, Ord::cmp)
    }

    /// The member of a key.
    fn home(&self, places: Places, key: u64, shares: &Shares) -> Option<usize> {
        let share = |place| shares.get(place);
        let (place, _) = state::bounded(
            places,
            key,
            self.load_factor,
            |place| self.seed(place),
            share,
            |place| self.in_flight(place),
        )?;
        Some(place)
    }

    fn best(
        &self,
        places: Places,
        number: u64,
        request: &Request<RequestBody>,
        kind: Kind,
        now: Instant,
    ) -> Option<usize> {
        let better =
            |places| state::better_of_two(places, number, |place| self.cost(place, kind, now));
        match self.policy {
            Policy::PeakEwma => better(places),
            Policy::LeastInFlight => {
                let in_flight = |place| self.in_flight(place);
                state::least(places, number, in_flight, Ord::cmp)
            }
            Policy::Cheapest => {
                let bid = Bid::of(request);
                let prices: Vec<_> = places
                    .iter()
                    .map(|place| (bid.price(self, place), place))
                    .collect();
                let least = prices.iter().map(|(price, _)| *price).min()?;
                better(places.preferring(|place| prices.contains(&(least, place))))
            }
            Policy::Weighted => state::weighted(
                places,
                number,
                |place| self.seed(place),
                |place| self.members.get(place).map_or(0, |member| member.weight),
            ),
        }
    }

    fn cost(&self, place: usize, kind: Kind, now: Instant) -> f64 {
        let Some(member) = self.members.get(place) else {
            return f64::INFINITY;
        };
        let latency = member.measured().latency(kind).get(now, self.decay);
        state::cost(latency, member.in_flight())
    }

    fn target(&self, place: usize) -> Option<&Target> {
        self.members.get(place)?.target.as_ref()
    }

    fn in_flight(&self, place: usize) -> u32 {
        self.members.get(place).map_or(0, Member::in_flight)
    }

    fn seed(&self, place: usize) -> u64 {
        self.members.get(place).map_or(0, |member| member.seed)
    }
}

/// What a request asks for, as far as its price goes.
struct Bid<'a> {
    model: Option<Cow<'a, str>>,
    usage: Usage,
    at: SystemTime,
}

impl<'a> Bid<'a> {
    fn of(request: &'a Request<RequestBody>) -> Self {
        let body = request.body();
        let usage = Usage {
            input: TokenEstimator::by_bytes().estimate(body).unwrap_or(0),
            output: body.max_output_tokens().unwrap_or(TYPICAL_OUTPUT),
            ..Usage::default()
        };
        Self {
            model: body.model(),
            usage,
            at: clock::now(),
        }
    }

    /// What it costs at a member, after whether that is unknown.
    fn price(&self, shared: &Shared, place: usize) -> (bool, Cost) {
        let price = || {
            let model = self.model.as_deref()?;
            let info = match shared.target(place) {
                Some(target) => shared
                    .catalog
                    .get_at(target.name(), &target.own_name(model)),
                None => shared.catalog.get(model),
            };
            info?.prices.as_ref()?.cost(&self.usage, None, self.at)
        };
        let price = price();
        (price.is_none(), price.unwrap_or_default())
    }
}

impl Kind {
    pub(super) fn of(request: &Request<RequestBody>) -> Self {
        if request.body().is_streaming() {
            Self::Stream
        } else {
            Self::Whole
        }
    }
}

impl<S> Layer<S> for BalanceLayer {
    type Service = Balance<S>;

    fn layer(&self, inner: S) -> Balance<S> {
        Balance::new(inner, Arc::clone(&self.shared))
    }
}

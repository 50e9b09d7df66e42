//! What steers a running gateway from code.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;

use super::{AllowanceLevel, meters};
use crate::{
    admission::AdmissionHandle,
    balance::BalanceHandle,
    budget::BudgetHandle,
    cache::CacheHandle,
    circuit_breaker::CircuitBreakerHandle,
    control::Controls,
    fallback::FallbackHandle,
    hedge::HedgeHandle,
    key::Key,
    model_rewrite::ModelRewriteHandle,
    normalize::ResponseNormalizeHandle,
    rate_limit::RateLimitHandle,
    reserve::{RedisHandle, RetryBudget},
    server::{Prometheus, feedback::FeedbackHandle, tenants::Tenants},
    shadow::ShadowHandle,
    stats::Stats,
    traffic_split::{TrafficSplitHandle, rollout::Rollout},
};

/// Shows and steers the layers of a [`Gateway`](super::Gateway) while it serves. Clones are the same.
///
/// A [reload](super::Gateway::reload) puts other layers in force. Handles that were asked for before steer those that were in force then:
/// ask again rather than keep one.
#[derive(Debug, Clone)]
pub struct Handles(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stats: Stats,
    prometheus: Prometheus,
    layers: ArcSwap<LayerHandles>,
}

/// The handles of all layers in force at a moment, by the names that the configuration gives.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LayerHandles {
    /// The circuit breakers, by upstream. The circuit of each is `Key::named("upstream", name)`.
    pub circuit_breakers: BTreeMap<String, CircuitBreakerHandle>,
    /// The limits that are kept for upstreams, by upstream.
    pub upstream_limits: BTreeMap<String, RateLimitHandle>,
    /// The fallbacks, by route.
    pub fallbacks: BTreeMap<String, FallbackHandle>,
    /// The balancers, by route.
    pub balances: BTreeMap<String, BalanceHandle>,
    /// The hedges, by route.
    pub hedges: BTreeMap<String, HedgeHandle>,
    /// The splits, by route.
    pub splits: BTreeMap<String, TrafficSplitHandle>,
    /// The rollouts, by route.
    pub rollouts: BTreeMap<String, Rollout>,
    /// Who may call.
    pub tenants: Option<Tenants>,
    /// The limits of tenants' tables, by level.
    pub rate_limits_by: BTreeMap<AllowanceLevel, RateLimitHandle>,
    /// How many requests of tenants are let in, by level.
    pub admissions_by: BTreeMap<AllowanceLevel, AdmissionHandle>,
    /// The limit that callers are held to.
    pub rate_limit: Option<RateLimitHandle>,
    /// What the store has counted in which replicas share their limits and budgets.
    pub store: Option<RedisHandle>,
    /// What retries draw on, by upstream.
    pub retry_budgets: BTreeMap<String, RetryBudget>,
    /// How many requests are let in.
    pub admission: Option<AdmissionHandle>,
    /// What each key may spend.
    pub budgets: Option<BudgetHandle>,
    /// The names of models.
    pub models: Option<ModelRewriteHandle>,
    /// What makes answers OpenAI's, by upstream.
    pub normalizers: BTreeMap<String, ResponseNormalizeHandle>,
    /// The answers that are given again.
    pub cache: Option<CacheHandle>,
    /// Those of routes that have their own, by route.
    pub caches: BTreeMap<String, CacheHandle>,
    /// How good callers said that answers were.
    pub feedback: Option<FeedbackHandle>,
    /// What copies requests.
    pub shadow: Option<ShadowHandle>,
    /// All that can be shown and steered, by kind and name: of the layers that are in force, whichever these are.
    pub controls: Controls,
}

impl Default for Handles {
    /// Of nothing yet.
    fn default() -> Self {
        let shared = |shared: &Weak<Shared>| {
            let prometheus = meters::prometheus();
            // Weak, as the metrics are asked for by those who have the handles.
            let shared = Weak::clone(shared);
            prometheus.sampled("gateway", move |recorder| {
                if let Some(shared) = shared.upgrade() {
                    meters::sample(&Self(shared), recorder);
                }
            });
            Shared {
                stats: Stats::default(),
                prometheus,
                layers: ArcSwap::default(),
            }
        };
        Self(Arc::new_cyclic(shared))
    }
}

impl Handles {
    /// What its layers know of its upstreams together: which are [available](Stats::availability), as their circuit breakers say. It stays
    /// the same whatever is reloaded.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// The handles of all layers that are in force now.
    pub fn layers(&self) -> Arc<LayerHandles> {
        self.0.layers.load_full()
    }

    /// What its layers count, as Prometheus reads it.
    pub fn prometheus(&self) -> &Prometheus {
        &self.0.prometheus
    }

    /// The circuit breaker of an upstream, whose circuit is `Key::named("upstream", name)`.
    pub fn circuit_breaker(&self, upstream: &str) -> Option<CircuitBreakerHandle> {
        self.layers().circuit_breakers.get(upstream).cloned()
    }

    /// The fallback of a route.
    pub fn fallback(&self, route: &str) -> Option<FallbackHandle> {
        self.layers().fallbacks.get(route).cloned()
    }

    /// The balancer of a route.
    pub fn balance(&self, route: &str) -> Option<BalanceHandle> {
        self.layers().balances.get(route).cloned()
    }

    /// The hedge of a route.
    pub fn hedge(&self, route: &str) -> Option<HedgeHandle> {
        self.layers().hedges.get(route).cloned()
    }

    /// The split of a route.
    pub fn split(&self, route: &str) -> Option<TrafficSplitHandle> {
        self.layers().splits.get(route).cloned()
    }

    /// The rollout of a route.
    pub fn rollout(&self, route: &str) -> Option<Rollout> {
        self.layers().rollouts.get(route).cloned()
    }

    /// How good callers said that answers were.
    pub fn feedback(&self) -> Option<FeedbackHandle> {
        self.layers().feedback.clone()
    }

    /// What copies requests.
    pub fn shadow(&self) -> Option<ShadowHandle> {
        self.layers().shadow.clone()
    }

    /// The limit that is kept for an upstream.
    pub fn rate_limit_of(&self, upstream: &str) -> Option<RateLimitHandle> {
        self.layers().upstream_limits.get(upstream).cloned()
    }

    /// The limit that callers are held to.
    pub fn rate_limit(&self) -> Option<RateLimitHandle> {
        self.layers().rate_limit.clone()
    }

    /// The answers that are given again.
    pub fn cache(&self) -> Option<CacheHandle> {
        self.layers().cache.clone()
    }

    /// The same of a route that has its own.
    pub fn cache_of(&self, route: &str) -> Option<CacheHandle> {
        self.layers().caches.get(route).cloned()
    }

    /// The limits of tenants' tables that are kept at this level.
    pub fn rate_limit_by(&self, level: AllowanceLevel) -> Option<RateLimitHandle> {
        self.layers().rate_limits_by.get(&level).cloned()
    }

    /// How many requests are in flight and wait, of all callers together.
    pub fn admission(&self) -> Option<AdmissionHandle> {
        self.layers().admission.clone()
    }

    /// The same of tenants' tables, at this level.
    pub fn admission_by(&self, level: AllowanceLevel) -> Option<AdmissionHandle> {
        self.layers().admissions_by.get(&level).cloned()
    }

    /// The budgets.
    pub fn budgets(&self) -> Option<BudgetHandle> {
        self.layers().budgets.clone()
    }

    /// All that can be shown and steered, by kind and name. It stays the same whatever is reloaded, and has what is in force.
    pub fn controls(&self) -> Controls {
        self.layers().controls.clone()
    }

    pub(super) fn replace(&self, layers: Arc<LayerHandles>) {
        self.0.layers.store(layers);
    }
}

impl LayerHandles {
    /// What of these can be shown and steered.
    pub(super) fn to_controls(&self) -> Controls {
        let controls = Controls::default();
        for (upstream, breaker) in &self.circuit_breakers {
            controls.add(upstream, breaker.control(Key::named("upstream", upstream)));
        }
        for (upstream, limit) in &self.upstream_limits {
            controls.add(&format!("upstream {upstream}"), limit.clone());
        }
        for (route, fallback) in &self.fallbacks {
            controls.add(route, fallback.clone());
        }
        for (route, balance) in &self.balances {
            controls.add(route, balance.clone());
        }
        for (route, hedge) in &self.hedges {
            controls.add(route, hedge.clone());
        }
        for (route, split) in &self.splits {
            controls.add(route, split.clone());
        }
        for (route, rollout) in &self.rollouts {
            controls.add(route, rollout.clone());
        }
        if let Some(tenants) = &self.tenants {
            for tenant in tenants.iter() {
                controls.add(tenant.name(), tenants.control(tenant.name()));
            }
        }
        for (level, limit) in &self.rate_limits_by {
            controls.add(level.as_str(), limit.clone());
        }
        for (level, admission) in &self.admissions_by {
            controls.add(level.as_str(), admission.clone());
        }
        if let Some(limit) = &self.rate_limit {
            controls.add("callers", limit.clone());
        }
        if let Some(admission) = &self.admission {
            controls.add("all", admission.clone());
        }
        if let Some(feedback) = &self.feedback {
            controls.add("answers", feedback.clone());
        }
        if let Some(shadow) = &self.shadow {
            controls.add("copies", shadow.clone());
        }
        if let Some(store) = &self.store {
            controls.add("redis", store.clone());
        }
        if let Some(cache) = &self.cache {
            controls.add("answers", cache.clone());
        }
        for (route, cache) in &self.caches {
            controls.add(&format!("route {route}"), cache.clone());
        }
        for (name, budget) in self.budgets.iter().flat_map(BudgetHandle::controls) {
            controls.add(&name, budget);
        }
        controls
    }

    /// The layers that limit requests and tokens, by the name that they have among metrics.
    pub(super) fn rate_limits(&self) -> impl Iterator<Item = (String, &RateLimitHandle)> {
        let callers = self.rate_limit.iter();
        let callers = callers.map(|handle| ("rate_limit".to_owned(), handle));
        let levels = self.rate_limits_by.iter();
        let levels =
            levels.map(|(level, handle)| (format!("rate_limit by {}", level.as_str()), handle));
        let upstreams = self.upstream_limits.iter();
        let upstreams = upstreams.map(|(name, handle)| (format!("rate_limit of {name}"), handle));
        callers.chain(levels).chain(upstreams)
    }

    /// Requests that wait in line, by the layer that they wait in.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (String, usize)> {
        let limits = self.rate_limits();
        let limits = limits.map(|(layer, handle)| (layer, handle.waiting()));
        let admission = self.admission.iter();
        let admission = admission.map(|handle| ("admission".to_owned(), handle.waiting()));
        let admissions = self.admissions_by.iter();
        let admissions = admissions
            .map(|(level, handle)| (format!("admission by {}", level.as_str()), handle.waiting()));
        let fallbacks = self.fallbacks.iter();
        let fallbacks = fallbacks
            .map(|(route, handle)| (format!("fallback of {route}"), handle.counts().waiting));
        limits.chain(admission).chain(admissions).chain(fallbacks)
    }
}

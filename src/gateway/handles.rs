//! What steers a running gateway from code.

use std::collections::BTreeMap;

use super::{Level, meters::Meters};
use crate::{
    admission::AdmissionHandle, budget::BudgetHandle, circuit_breaker::CircuitBreakerHandle,
    fallback::FallbackHandle, rate_limit::RateLimitHandle, server::Prometheus, stats::Stats,
};

/// Shows and steers the layers of a [`Gateway`](super::Gateway) while it serves. Clones share what they steer.
#[derive(Debug, Clone, Default)]
pub struct Handles {
    stats: Stats,
    meters: Meters,
    breakers: BTreeMap<String, CircuitBreakerHandle>,
    fallbacks: BTreeMap<String, FallbackHandle>,
    limits: BTreeMap<String, RateLimitHandle>,
    tenant_limit: Option<RateLimitHandle>,
    limits_by: BTreeMap<Level, RateLimitHandle>,
    admission: Option<AdmissionHandle>,
    admissions_by: BTreeMap<Level, AdmissionHandle>,
    budgets: Option<BudgetHandle>,
}

impl Handles {
    /// What its layers know of its upstreams together: which are [available](Stats::availability), as their circuit breakers say.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What its layers count, as Prometheus reads it.
    pub fn prometheus(&self) -> &Prometheus {
        self.meters.prometheus()
    }

    /// The circuit breaker of an upstream, whose circuit is `Key::named("upstream", name)`.
    pub fn circuit_breaker(&self, upstream: &str) -> Option<&CircuitBreakerHandle> {
        self.breakers.get(upstream)
    }

    /// The fallback of a route.
    pub fn fallback(&self, route: &str) -> Option<&FallbackHandle> {
        self.fallbacks.get(route)
    }

    /// The limit that is kept for an upstream.
    pub fn rate_limit_of(&self, upstream: &str) -> Option<&RateLimitHandle> {
        self.limits.get(upstream)
    }

    /// The limit that callers are held to.
    pub fn rate_limit(&self) -> Option<&RateLimitHandle> {
        self.tenant_limit.as_ref()
    }

    /// The limits of tenants' tables that are kept at this level.
    pub fn rate_limit_by(&self, level: Level) -> Option<&RateLimitHandle> {
        self.limits_by.get(&level)
    }

    /// How many requests are in flight and wait, of all callers together.
    pub fn admission(&self) -> Option<&AdmissionHandle> {
        self.admission.as_ref()
    }

    /// The same of tenants' tables, at this level.
    pub fn admission_by(&self, level: Level) -> Option<&AdmissionHandle> {
        self.admissions_by.get(&level)
    }

    /// The budgets.
    pub fn budgets(&self) -> Option<&BudgetHandle> {
        self.budgets.as_ref()
    }

    pub(super) fn add_breaker(&mut self, upstream: &str, handle: CircuitBreakerHandle) {
        self.breakers.insert(upstream.to_owned(), handle);
    }

    pub(super) fn add_fallback(&mut self, route: &str, handle: FallbackHandle) {
        self.fallbacks.insert(route.to_owned(), handle);
    }

    pub(super) fn add_limit(&mut self, upstream: &str, handle: RateLimitHandle) {
        self.limits.insert(upstream.to_owned(), handle);
    }

    pub(super) fn set_tenant_limit(&mut self, handle: Option<RateLimitHandle>) {
        self.tenant_limit = handle;
    }

    pub(super) fn add_limit_by(&mut self, level: Level, handle: RateLimitHandle) {
        self.limits_by.insert(level, handle);
    }

    pub(super) fn set_admission(&mut self, handle: Option<AdmissionHandle>) {
        self.admission = handle;
    }

    pub(super) fn add_admission_by(&mut self, level: Level, handle: AdmissionHandle) {
        self.admissions_by.insert(level, handle);
    }

    pub(super) fn set_budgets(&mut self, handle: Option<BudgetHandle>) {
        self.budgets = handle;
    }

    pub(super) fn meters(&mut self) -> &mut Meters {
        &mut self.meters
    }

    /// Requests that wait in line, by the layer that they wait in.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (String, usize)> {
        let limits = self.tenant_limit.iter();
        let limits = limits.map(|handle| ("rate_limit".to_owned(), handle.waiting()));
        let levels = self.limits_by.iter();
        let levels = levels.map(|(level, handle)| {
            (
                format!("rate_limit by {}", level.as_str()),
                handle.waiting(),
            )
        });
        let upstreams = self.limits.iter();
        let upstreams =
            upstreams.map(|(name, handle)| (format!("rate_limit of {name}"), handle.waiting()));
        let admission = self.admission.iter();
        let admission = admission.map(|handle| ("admission".to_owned(), handle.waiting()));
        let admissions = self.admissions_by.iter();
        let admissions = admissions
            .map(|(level, handle)| (format!("admission by {}", level.as_str()), handle.waiting()));
        let fallbacks = self.fallbacks.iter();
        let fallbacks = fallbacks
            .map(|(route, handle)| (format!("fallback of {route}"), handle.counts().waiting));
        limits
            .chain(levels)
            .chain(upstreams)
            .chain(admission)
            .chain(admissions)
            .chain(fallbacks)
    }

    /// Has what stands at some value asked for whenever the metrics are read.
    pub(super) fn sample(&self) {
        // Without the meters, which hold what is asked: no ring of references.
        let handles = Self {
            meters: Meters::default(),
            ..self.clone()
        };
        self.meters.sample(handles);
    }
}

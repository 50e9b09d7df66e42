//! What steers a running gateway from code.

use std::collections::BTreeMap;

use super::gauges::Gauges;
use crate::{
    admission::AdmissionHandle, circuit_breaker::CircuitBreakerHandle, fallback::FallbackHandle,
    normalize::ResponseNormalizeHandle, rate_limit::RateLimitHandle, server::Prometheus,
    shadow::ShadowHandle, stats::Stats, telemetry::conventions::BUCKETS,
};

/// Shows and steers the layers of a [`Gateway`](super::Gateway) while it serves. Clones share what they steer.
#[derive(Debug, Clone)]
pub struct Handles {
    stats: Stats,
    prometheus: Prometheus,
    gauges: Gauges,
    breakers: BTreeMap<String, CircuitBreakerHandle>,
    fallbacks: BTreeMap<String, FallbackHandle>,
    limits: BTreeMap<String, RateLimitHandle>,
    tenant_limit: Option<RateLimitHandle>,
}

impl Default for Handles {
    fn default() -> Self {
        let prometheus = BUCKETS
            .iter()
            .fold(Prometheus::new(), |prometheus, (name, bounds)| {
                prometheus.buckets(name, bounds)
            });
        let stats = Stats::default();
        Self {
            gauges: Gauges::of(&stats),
            stats,
            prometheus,
            breakers: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            limits: BTreeMap::new(),
            tenant_limit: None,
        }
    }
}

impl Handles {
    /// What its layers know of its upstreams together: which are [available](Stats::availability), as their circuit breakers say.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What its layers count, as Prometheus reads it.
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
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

    pub(super) fn add_breaker(&mut self, upstream: &str, handle: CircuitBreakerHandle) {
        self.breakers.insert(upstream.to_owned(), handle);
    }

    pub(super) fn add_fallback(&mut self, route: &str, handle: FallbackHandle) {
        self.gauges.add_fallback(route, &handle);
        self.fallbacks.insert(route.to_owned(), handle);
    }

    pub(super) fn add_limit(&mut self, upstream: &str, handle: RateLimitHandle) {
        self.gauges
            .add_limit(&format!("rate_limit of {upstream}"), &handle);
        self.limits.insert(upstream.to_owned(), handle);
    }

    pub(super) fn set_tenant_limit(&mut self, handle: Option<RateLimitHandle>) {
        if let Some(handle) = &handle {
            self.gauges.add_limit("rate_limit", handle);
        }
        self.tenant_limit = handle;
    }

    pub(super) fn add_normalizer(&mut self, upstream: &str, handle: ResponseNormalizeHandle) {
        self.gauges.add_normalizer(upstream, handle);
    }

    pub(super) fn set_admission(&mut self, handle: AdmissionHandle) {
        self.gauges.set_admission(handle);
    }

    pub(super) fn set_shadow(&mut self, handle: ShadowHandle) {
        self.gauges.set_shadow(handle);
    }

    /// Has what stands at some value asked for whenever the metrics are read.
    pub(super) fn sample(&self) {
        let gauges = self.gauges.clone();
        self.prometheus
            .sampled("gateway", move |recorder| gauges.sample(recorder));
    }
}

//! A configuration that only looks.

use std::collections::BTreeMap;

use super::{AllowanceConfig, Config, CredentialConfig, RouteConfig, StoreConfig, UpstreamConfig};
use crate::{
    cost_meter::CostMeterLayer, ledger::JsonlAudit, model_rewrite::Checks,
    traffic_split::TrafficSplitBuilder,
};

/// Where attempts are written down, where the configuration does not say.
const AUDIT: &str = "audit.jsonl";

impl Config {
    /// The same upstreams with everything off that changes, delays or refuses: each request goes to the upstream as its caller sent it, once,
    /// and is written down. For the time before anything is changed.
    ///
    /// Off are limits, budgets, admission, the choice and the names of models, rules, checks, the cache, shadows, feedback, retries, circuit
    /// breakers, held answers, timeouts, normalisation and rollouts. Routes give all requests to their first target. Answers are not asked for their
    /// usage: what a stream does not tell is estimated.
    ///
    /// What stays: who may call and what each may ask for (`tenants`), the upstreams' credentials and headers, the bounds of
    /// [`edge`](Self::edge) and [`server`](Self::server). An upstream without a credential is sent the caller's own, in the header that it came in,
    /// unless there are tenants, whose keys are for this relay alone. Attempts are written to `audit.jsonl`, unless the configuration names another
    /// file.
    pub fn observing(mut self) -> Self {
        let is_open = self.tenants.is_empty();
        self.audit = self.audit.or_else(|| Some(JsonlAudit::builder(AUDIT)));
        self.store = StoreConfig::default();
        self.rate_limit = None;
        self.admission = None;
        self.model_select = None;
        self.budgets.clear();
        self.models = None;
        self.cache = None;
        self.shadow = None;
        self.feedback = None;
        self.organisations.clear();
        self.teams.clear();
        for tenant in &mut self.tenants {
            tenant.limits = None;
            tenant.admission = None;
            tenant.each_key = AllowanceConfig::default();
        }
        let ways: BTreeMap<_, _> = self
            .routes
            .iter()
            .map(|route| (route.name.clone(), route.targets().to_vec()))
            .collect();
        for route in &mut self.routes {
            route.observe(&ways);
        }
        for upstream in &mut self.upstreams {
            upstream.observe(is_open);
        }
        self
    }
}

impl RouteConfig {
    /// `ways` are the targets of all routes.
    fn observe(&mut self, ways: &BTreeMap<String, Vec<String>>) {
        self.rollout = None;
        self.cache = None;
        let is_plain = self.fallback.is_some() || self.split.is_some();
        let targets = match self.targets() {
            // A hedge over one route that balances: that route's targets are its own.
            [only] => ways.get(only).cloned(),
            targets => Some(targets.to_vec()),
        };
        if !is_plain && let Some(targets) = targets.filter(|targets| !targets.is_empty()) {
            (self.balance, self.hedge) = (None, None);
            self.split = Some(TrafficSplitBuilder::default().targets(targets));
        }
        if let Some(fallback) = self.fallback.take() {
            let wait = std::time::Duration::ZERO;
            self.fallback = Some(fallback.attempts(1).sticky(wait).wait(wait));
        }
        self.split = self.split.take().map(baseline_only);
    }
}

fn baseline_only(split: TrafficSplitBuilder) -> TrafficSplitBuilder {
    let weights = (0..split.get_targets().len()).map(|place| u32::from(place == 0));
    let weights: Vec<_> = weights.collect();
    split.weights(weights).allow_override(false)
}

impl UpstreamConfig {
    fn observe(&mut self, is_open: bool) {
        if is_open && self.credential == CredentialConfig::None {
            self.credential = CredentialConfig::AsPresented;
        }
        self.aliases = None;
        self.rules.clear();
        self.clamp_output = false;
        self.checks = Checks::default();
        self.retry = None;
        self.circuit_breaker = None;
        self.commit_guard = None;
        self.timeout = None;
        self.rate_limit = None;
        self.normalize = None;
        let meter = self.cost.take().unwrap_or_else(CostMeterLayer::builder);
        let meter = meter.ask_usage(false);
        self.cost = Some(meter.cost_header(false).cost_in_body(false));
    }
}

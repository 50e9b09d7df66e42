//! The stack of one upstream.

use std::{borrow::Cow, sync::Arc};

use tower::util::option_layer;
use tower_layer::Layer;

use super::{Parts, within};
use crate::{
    circuit_breaker::CircuitBreakerBuilder,
    client::{Target, Upstreams},
    commit_guard::CommitGuardBuilder,
    cost_meter::CostMeterLayer,
    gateway::{Config, UpstreamConfig, tenants},
    key::KeyBy,
    message::ConfigError,
    rate_limit::RateLimitBuilder,
    retry::RetryBuilder,
    telemetry::TelemetryLayer,
    timeout::TimeoutBuilder,
    traffic_split::rollout::RolloutObserverLayer,
};

impl Config {
    /// All that a request may be given to: the routes and the upstreams.
    pub(super) fn upstreams(&self, parts: &mut Parts<'_>) -> Result<Upstreams, ConfigError> {
        let mut upstreams = Upstreams::builder();
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let in_list = |error: ConfigError| within("upstreams")(within(index)(error));
            let earlier = &self.upstreams.get(..index).unwrap_or_default();
            let target = self.target(upstream, parts).map_err(in_list)?;
            if earlier.iter().any(|other| other.name == upstream.name) {
                let reason = format!("{:?} is there twice", upstream.name);
                return Err(in_list(ConfigError::new("name", reason)));
            }
            upstreams = upstreams.add(target);
        }
        self.targets(&upstreams.build()?, parts)
    }

    /// Whether every upstream is metered, whatever it says itself.
    pub(in crate::gateway) fn meters_all(&self) -> bool {
        self.audit.is_some() || !self.budgets.is_empty() || self.shows_spend()
    }

    /// Whether anybody is shown what attempts cost.
    pub(in crate::gateway) fn shows_spend(&self) -> bool {
        self.admin.is_some() || self.alerts.is_some()
    }

    /// Whether anything judges upstreams by their attempts.
    pub(in crate::gateway) fn has_rollouts(&self) -> bool {
        self.routes.iter().any(|route| route.rollout.is_some())
    }

    /// One upstream, down to its client.
    fn target(
        &self,
        config: &UpstreamConfig,
        parts: &mut Parts<'_>,
    ) -> Result<Target, ConfigError> {
        let (upstream, key_worker) = config.layer(parts.env)?;
        parts.workers.extend(key_worker);
        let client = parts.client(config)?;

        let before = Arc::clone(&parts.before);
        let retry = config.retry.clone();
        let retry = retry.map(|retry| retry.continuing(before.retry_budgets.get(&config.name)));
        let retry = retry.map(RetryBuilder::build).transpose();
        let retry = retry.map_err(within("retry"))?;
        if let Some(retry) = &retry {
            let budgets = &mut parts.layers.retry_budgets;
            budgets.insert(config.name.clone(), retry.budget().clone());
        }
        let attempts = parts.telemetry.as_ref().map(TelemetryLayer::attempts);
        let observer = self.has_rollouts().then_some(RolloutObserverLayer);
        let breaker = config.circuit_breaker.clone();
        let earlier = before.circuit_breakers.get(&config.name);
        let breaker = breaker.map(|breaker| breaker.stats(parts.stats).continuing(earlier));
        let breaker = breaker.map(CircuitBreakerBuilder::build).transpose();
        let breaker = breaker.map_err(within("circuit_breaker"))?;
        if let Some(breaker) = &breaker {
            let breakers = &mut parts.layers.circuit_breakers;
            breakers.insert(config.name.clone(), breaker.handle());
            parts.at_last(breaker.take_over());
        }
        let guard = config.commit_guard.clone();
        let guard = guard.map(CommitGuardBuilder::build).transpose();
        let timeout = config.timeout.clone();
        let timeout = timeout.map(TimeoutBuilder::build).transpose();
        let limit = config.rate_limit.clone().map(|limit| {
            let scope = format!("upstream {}", config.name);
            let earlier = before.upstream_limits.get(&config.name);
            let limit = parts.stored(&scope, limit.provider()).continuing(earlier);
            match &config.models {
                Some(models) => limit.by(KeyBy::model_among(models.iter().cloned())),
                None => limit,
            }
        });
        let limit = limit.map(RateLimitBuilder::build).transpose();
        let limit = limit.map_err(within("rate_limit"))?;
        if let Some(limit) = &limit {
            let limits = &mut parts.layers.upstream_limits;
            limits.insert(config.name.clone(), limit.handle());
        }
        let meter = self.meter(config, parts).map_err(within("cost"))?;
        let rewrite = config.rewrite();
        let rewrite = rewrite.map(|rewrite| rewrite.catalog(parts.catalog.clone()).build());
        let normalize = config.normalize.clone().map(|normalize| {
            let build = || Ok((normalize.clone().build()?, Vec::new()));
            parts.keep("normalize", &config.name, normalize.clone(), build)
        });
        let normalize = normalize.transpose().map_err(within("normalize"))?;
        if let Some(normalize) = &normalize {
            let normalizers = &mut parts.layers.normalizers;
            normalizers.insert(config.name.clone(), normalize.handle());
        }

        // Outermost first.
        let layers = (
            option_layer(retry),
            option_layer(attempts),
            option_layer(observer),
            option_layer(breaker),
            option_layer(guard.map_err(within("commit_guard"))?),
            option_layer(timeout.map_err(within("timeout"))?),
            option_layer(limit),
            option_layer(meter),
            option_layer(rewrite.transpose()?),
            option_layer(normalize),
            upstream,
        );
        let target = Target::new(config.name.as_str(), layers.layer(client));
        Ok(described(target, config))
    }

    /// What meters an upstream's attempts.
    fn meter(
        &self,
        config: &UpstreamConfig,
        parts: &mut Parts<'_>,
    ) -> Result<Option<CostMeterLayer>, ConfigError> {
        let is_implied = parts.audit.is_some() || !self.budgets.is_empty();
        let implied = || is_implied.then(CostMeterLayer::builder);
        let Some(builder) = config.cost.clone().or_else(implied) else {
            return Ok(None);
        };
        let mut builder = builder
            .name(config.name.trim())
            .catalog(parts.catalog.clone())
            .key(tenants::counted_by());
        if let Some(audit) = &parts.audit {
            builder = builder.ledger(Arc::clone(audit));
        }
        if let Some(aliases) = config.aliases.clone() {
            let own = move |model: &str| aliases.resolve(model).map(|own| Arc::from(&*own));
            builder = builder.own_names(own);
        }
        // What reads answers on, where that is to be.
        let (builder, worker) = builder.with_drainer()?;
        parts.workers.extend(worker);
        builder.build().map(Some)
    }
}

/// With what the upstream says of itself.
fn described(mut target: Target, config: &UpstreamConfig) -> Target {
    if let Some(label) = &config.label {
        target = target.label(label);
    }
    if let Some(endpoints) = &config.endpoints {
        target = target.endpoints(endpoints.iter().copied());
    }
    if let Some(aliases) = config.aliases.clone() {
        target = target.own_names(move |model| aliases.resolve(model).map(Cow::into_owned));
    }
    if let Some(models) = &config.models {
        target = target.models(models.iter().cloned());
    }
    target
}

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
    normalize::ResponseNormalizeBuilder,
    rate_limit::RateLimitBuilder,
    retry::RetryBuilder,
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
        self.audit.is_some() || !self.budgets.is_empty()
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
        let client = config.client.build(&config.origin()?);
        let client = client.map_err(within("client"))?;

        let retry = config.retry.clone().map(RetryBuilder::build).transpose();
        let observer = self.has_rollouts().then_some(RolloutObserverLayer);
        let breaker = config.circuit_breaker.clone();
        let breaker = breaker.map(|breaker| breaker.stats(parts.handles.stats()));
        let breaker = breaker.map(CircuitBreakerBuilder::build).transpose();
        let breaker = breaker.map_err(within("circuit_breaker"))?;
        if let Some(breaker) = &breaker {
            parts.handles.add_breaker(&config.name, breaker.handle());
        }
        let guard = config.commit_guard.clone();
        let guard = guard.map(CommitGuardBuilder::build).transpose();
        let timeout = config.timeout.clone();
        let timeout = timeout.map(TimeoutBuilder::build).transpose();
        let limit = config.rate_limit.clone().map(|limit| {
            let scope = format!("upstream {}", config.name);
            let limit = parts.kept(&scope, limit.provider());
            match &config.models {
                Some(models) => limit.by(KeyBy::model_among(models.iter().cloned())),
                None => limit,
            }
        });
        let limit = limit.map(RateLimitBuilder::build).transpose();
        let limit = limit.map_err(within("rate_limit"))?;
        if let Some(limit) = &limit {
            parts.handles.add_limit(&config.name, limit.handle());
        }
        let meter = self.meter(config, parts).map_err(within("cost"))?;
        let rewrite = config.rewrite();
        let rewrite = rewrite.map(|rewrite| rewrite.catalog(parts.catalog.clone()).build());
        let normalize = config.normalize.clone();
        let normalize = normalize.map(ResponseNormalizeBuilder::build).transpose();
        let normalize = normalize.map_err(within("normalize"))?;
        if let Some(normalize) = &normalize {
            let handle = normalize.handle();
            parts.handles.meters().add_normalizer(&config.name, handle);
        }

        // Outermost first.
        let layers = (
            option_layer(retry.map_err(within("retry"))?),
            parts.telemetry.attempts(),
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

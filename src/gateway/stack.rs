//! From a configuration to layers.

use std::{convert::Infallible, env, fmt::Display};

use http::{Request, Response};
use tower::util::option_layer;
use tower_layer::Layer;
use tower_service::Service;

use super::{Config, Gateway, InvalidConfig, UpstreamConfig, access_log::AccessLogLayer, models};
use crate::{
    circuit_breaker::CircuitBreakerBuilder,
    client::{ModelRoute, Target, Upstreams},
    key::KeyBy,
    message::{ConfigError, RequestBody, ResponseBody, catalog::ModelCatalog},
    model_rewrite::{ModelRewriteBuilder, ModelRewriteLayer},
    rate_limit::RateLimitBuilder,
    retry::RetryBuilder,
    timeout::TimeoutBuilder,
    worker::Worker,
};

/// What stands under a gateway's edge: any service over this crate's bodies that answers errors as responses.
pub trait Stack:
    Service<
        Request<RequestBody>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Stack for S where
    S: Service<
            Request<RequestBody>,
            Response = Response<ResponseBody>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

impl Config {
    /// The gateway that this configuration describes. Nothing is connected or spawned yet.
    ///
    /// # Errors
    ///
    /// Where a field's value cannot work: a URL that is none, an environment variable that is not set, a file that cannot
    /// be read.
    pub fn build(&self) -> Result<Gateway<impl Stack + use<>>, InvalidConfig> {
        self.build_with_env(&|name| env::var(name).ok())
    }

    /// The same, with `env` in place of the environment's variables: a store of secrets, say.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_env(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Gateway<impl Stack + use<>>, InvalidConfig> {
        self.gateway(env).map_err(|error| self.locate(&error))
    }

    /// The upstreams alone, to stand under layers of one's own, and what keeps their keys current.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_upstreams(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Upstreams, Vec<Worker>), InvalidConfig> {
        self.catalog()
            .and_then(|catalog| self.upstreams(env, &catalog))
            .map_err(|error| self.locate(&error))
    }

    fn gateway(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Gateway<impl Stack + use<>>, ConfigError> {
        let edge = self
            .edge
            .clone()
            .guard_all(true)
            .build()
            .map_err(within("edge"))?;
        let catalog = self.catalog()?;
        let rewrite = rewrite(self.models.clone(), &catalog).map_err(within("models"))?;
        let (upstreams, workers) = self.upstreams(env, &catalog)?;
        let aliases = rewrite.as_ref().map(ModelRewriteLayer::handle);
        let models = models::offered(aliases.as_ref(), &upstreams, &self.upstreams, &catalog);

        // The layers that every request passes, outermost first.
        let log = self.server.access_log.then_some(AccessLogLayer);
        let limit = self.rate_limit.clone().map(RateLimitBuilder::build);
        let limit = limit.transpose().map_err(within("rate_limit"))?;
        let layers = (
            option_layer(log),
            option_layer(limit),
            option_layer(rewrite),
        );
        let stack = layers.layer(ModelRoute::new(upstreams));

        let mut gateway = Gateway::new(&edge, stack)
            .with_server(self.server.clone())
            .map_err(within("server"))?;
        if let Some(models) = models {
            gateway = gateway.with_models(models);
        }
        Ok(workers.into_iter().fold(gateway, Gateway::with_worker))
    }

    fn catalog(&self) -> Result<ModelCatalog, ConfigError> {
        self.catalog.build().map_err(within("catalog"))
    }

    fn upstreams(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        catalog: &ModelCatalog,
    ) -> Result<(Upstreams, Vec<Worker>), ConfigError> {
        let mut upstreams = Upstreams::builder();
        let mut workers = Vec::new();
        for (index, config) in self.upstreams.iter().enumerate() {
            let (target, worker) = target(config, env, catalog)
                .map_err(within(index))
                .map_err(within("upstreams"))?;
            if self
                .upstreams
                .iter()
                .take(index)
                .any(|other| other.name == config.name)
            {
                let reason = format!("{:?} is there twice", config.name);
                return Err(ConfigError::new("name", reason)
                    .within(&index.to_string())
                    .within("upstreams"));
            }
            upstreams = upstreams.add(target);
            workers.extend(worker);
        }
        Ok((upstreams.build()?, workers))
    }
}

/// The stack of one upstream, down to its client.
fn target(
    config: &UpstreamConfig,
    env: &dyn Fn(&str) -> Option<String>,
    catalog: &ModelCatalog,
) -> Result<(Target, Option<Worker>), ConfigError> {
    let (upstream, worker) = config.layer(env)?;
    let client = config
        .client
        .build(&config.origin()?)
        .map_err(within("client"))?;
    let rewrite = rewrite(config.rewrite(), catalog)?;

    let retry = config.retry.clone().map(RetryBuilder::build).transpose();
    let breaker = config.circuit_breaker.clone();
    let breaker = breaker.map(CircuitBreakerBuilder::build).transpose();
    let limit = config.rate_limit.clone().map(|limit| {
        let limit = limit.provider();
        match &config.models {
            Some(models) => limit.by(KeyBy::model_among(models.iter().cloned())),
            None => limit,
        }
    });
    let limit = limit.map(RateLimitBuilder::build).transpose();
    let timeout = config
        .timeout
        .clone()
        .map(TimeoutBuilder::build)
        .transpose();

    // The layers of this upstream alone, outermost first.
    let layers = (
        option_layer(retry.map_err(within("retry"))?),
        option_layer(breaker.map_err(within("circuit_breaker"))?),
        option_layer(timeout.map_err(within("timeout"))?),
        option_layer(limit.map_err(within("rate_limit"))?),
        option_layer(rewrite),
        upstream,
    );
    let mut target = Target::new(config.name.as_str(), layers.layer(client));

    if let Some(label) = &config.label {
        target = target.label(label);
    }
    if let Some(endpoints) = &config.endpoints {
        target = target.endpoints(endpoints.iter().copied());
    }
    if let Some(models) = &config.models {
        target = target.models(models.iter().cloned());
    }
    Ok((target, worker))
}

fn rewrite(
    config: Option<ModelRewriteBuilder>,
    catalog: &ModelCatalog,
) -> Result<Option<ModelRewriteLayer>, ConfigError> {
    config
        .map(|config| config.catalog(catalog.clone()).build())
        .transpose()
}

/// Says in which table a field is.
fn within(outer: impl Display) -> impl FnOnce(ConfigError) -> ConfigError {
    move |error| error.within(&outer.to_string())
}

use std::sync::Arc;

use super::within;
use crate::{
    gateway::{Config, Handles, switches::Switches},
    ledger::{JsonlAuditBuilder, Ledger},
    message::{ConfigError, catalog::ModelCatalog},
    model_rewrite::{Aliases, ModelRewriteBuilder},
    rate_limit::RateLimitBuilder,
    reserve::RedisLimiter,
    telemetry::TelemetryLayer,
    worker::Worker,
};

/// What the layers of one gateway are made with, and what comes of them beside the stack.
pub(in crate::gateway) struct Parts<'a> {
    /// Where a configuration finds what it names.
    pub(in crate::gateway) env: &'a dyn Fn(&str) -> Option<String>,
    pub(in crate::gateway) switches: Switches,
    pub(in crate::gateway) catalog: ModelCatalog,
    /// Where attempts are written down, if anywhere.
    pub(in crate::gateway) audit: Option<Arc<dyn Ledger>>,
    /// What replicas share, if anything.
    pub(in crate::gateway) store: Option<RedisLimiter>,
    /// What records requests, and attempts at upstreams.
    pub(in crate::gateway) telemetry: TelemetryLayer,
    /// What steers the layers: each adds its own.
    pub(in crate::gateway) handles: Handles,
    /// What the layers do beside the requests: each adds its own.
    pub(in crate::gateway) workers: Vec<Worker>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(
        config: &Config,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut parts = Self::without_audit(config, env)?;
        if let Some(audit) = config.audit.clone() {
            let (audit, worker) = JsonlAuditBuilder::build(audit).map_err(within("audit"))?;
            parts.audit = Some(Arc::new(audit));
            parts.workers.push(worker);
        }
        Ok(parts)
    }

    pub(super) fn without_audit(
        config: &Config,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let catalog = config.catalog.build().map_err(within("catalog"))?;
        let redis = config.store.redis.clone();
        let built = redis.map(|redis| redis.build_with_env(env)).transpose();
        let built = built.map_err(within("redis")).map_err(within("store"))?;
        let (store, worker) = built.unzip();
        let handles = Handles::default();
        let telemetry = config.telemetry(&catalog, &handles);
        let telemetry = telemetry.map_err(within("telemetry"))?;
        Ok(Self {
            env,
            switches: Switches::of(env)?,
            catalog,
            audit: None,
            store,
            telemetry,
            handles,
            workers: worker.into_iter().collect(),
        })
    }

    /// The limits of `scope`, in the store where there is one.
    pub(in crate::gateway) fn kept(
        &self,
        scope: &str,
        limit: RateLimitBuilder,
    ) -> RateLimitBuilder {
        match &self.store {
            Some(store) => limit.limiter(Arc::new(store.scoped(scope))),
            None => limit,
        }
    }
}

impl Config {
    /// What records requests: models are named in metrics where the configuration names them, or the catalog.
    fn telemetry(
        &self,
        catalog: &ModelCatalog,
        handles: &Handles,
    ) -> Result<TelemetryLayer, ConfigError> {
        let aliases = self.models.iter().map(ModelRewriteBuilder::get_aliases);
        let own = self.upstreams.iter().filter_map(|one| one.aliases.as_ref());
        let entries = aliases.chain(own).flat_map(Aliases::entries);
        let names = entries.flat_map(|(from, to)| [from, to]);
        let served = self.upstreams.iter().map(|upstream| &upstream.models);
        let served = served.chain(self.routes.iter().map(|route| &route.models));
        let exact = served.flatten().flatten().filter(|name| name.is_exact());
        let names = names.chain(exact.map(ToString::to_string));
        let names = names.filter(|name| !name.is_empty() && !name.contains('*'));
        let recorder = Arc::new(handles.prometheus().clone());
        let telemetry = self.telemetry.clone().models(names);
        let telemetry = telemetry.catalog(catalog.clone()).stats(handles.stats());
        telemetry.recorder(recorder).build()
    }
}

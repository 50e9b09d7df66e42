use std::sync::Arc;

use super::within;
use crate::{
    gateway::{Config, Handles, switches::Switches},
    ledger::{JsonlAuditBuilder, Ledger},
    message::{ConfigError, catalog::ModelCatalog},
    rate_limit::RateLimitBuilder,
    reserve::RedisLimiter,
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
        Ok(Self {
            env,
            switches: Switches::of(env)?,
            catalog,
            audit: None,
            store,
            handles: Handles::default(),
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

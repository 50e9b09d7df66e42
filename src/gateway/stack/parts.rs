use std::{fs, mem, sync::Arc};

use super::within;
use crate::{
    gateway::{
        Config, Handles, LayerHandles, UpstreamConfig,
        client::Client,
        reload::{Beside, Estate, Kept},
        switches::Switches,
    },
    ledger::{JsonlAuditBuilder, Ledger, Totals},
    message::{ConfigError, catalog::ModelCatalog},
    model_rewrite::{Aliases, ModelRewriteBuilder},
    rate_limit::RateLimitBuilder,
    reserve::RedisLimiter,
    server::Prometheus,
    stats::Stats,
    telemetry::TelemetryLayer,
    worker::Worker,
};

/// What the layers of one gateway are made with, and what comes of them beside the stack.
pub(in crate::gateway) struct Parts<'a> {
    /// Where a configuration finds what it names.
    pub(in crate::gateway) env: &'a dyn Fn(&str) -> Option<String>,
    pub(in crate::gateway) switches: Switches,
    pub(in crate::gateway) catalog: ModelCatalog,
    /// Where attempts are written down or added up, if anywhere.
    pub(in crate::gateway) audit: Option<Arc<dyn Ledger>>,
    /// What replicas share, if anything.
    pub(in crate::gateway) store: Option<RedisLimiter>,
    /// What the layers know of upstreams together.
    pub(in crate::gateway) stats: &'a Stats,
    /// What is counted, as Prometheus reads it.
    pub(in crate::gateway) prometheus: &'a Prometheus,
    /// What records requests, and attempts at upstreams, if anything.
    pub(in crate::gateway) telemetry: Option<TelemetryLayer>,
    /// What steers the layers: each adds its own.
    pub(in crate::gateway) layers: LayerHandles,
    /// What steers the layers whose place these take: empty at the start. Each goes on from there.
    pub(in crate::gateway) before: Arc<LayerHandles>,
    /// What the layers do beside the requests, as long as this stack is there: each adds its own.
    pub(in crate::gateway) workers: Vec<Worker>,
    /// What is to be done the moment before the stack is in force, when nothing can fail any more.
    at_last: Vec<Box<dyn FnOnce() + Send>>,
    pub(in crate::gateway) held_back: Vec<String>,
    kept: Kept,
    estate: Option<&'a Estate>,
    /// The workers of what is kept.
    keepers: Vec<Worker>,
}

impl<'a> Parts<'a> {
    /// To take the place of what left `estate`, if anything did.
    pub(in crate::gateway) fn new(
        config: &Config,
        env: &'a dyn Fn(&str) -> Option<String>,
        handles: &'a Handles,
        estate: Option<&'a Estate>,
    ) -> Result<Self, ConfigError> {
        let mut parts = Self::without_audit(config, env, handles, estate)?;
        if let Some(audit) = &config.audit {
            let kept = parts.audit(audit).map_err(within("audit"))?;
            parts.audit = Some(kept);
        } else if config.shows_spend() {
            let totals = || Ok((Totals::default(), Vec::new()));
            parts.audit = Some(Arc::new(parts.keep("totals", "", (), totals)?));
        }
        Ok(parts)
    }

    pub(super) fn without_audit(
        config: &Config,
        env: &'a dyn Fn(&str) -> Option<String>,
        handles: &'a Handles,
        estate: Option<&'a Estate>,
    ) -> Result<Self, ConfigError> {
        let catalog = config.catalog.build().map_err(within("catalog"))?;
        let telemetry = config.telemetry(&catalog, handles);
        let telemetry = telemetry.map_err(within("telemetry"))?;
        let mut parts = Self {
            env,
            switches: Switches::of(env)?,
            catalog,
            audit: None,
            store: None,
            telemetry,
            stats: handles.stats(),
            prometheus: handles.prometheus(),
            layers: LayerHandles::default(),
            before: estate.map_or_else(Arc::default, |estate| Arc::clone(&estate.layers)),
            workers: Vec::new(),
            at_last: Vec::new(),
            held_back: Vec::new(),
            kept: Kept::default(),
            estate,
            keepers: Vec::new(),
        };
        if let Some(redis) = &config.store.redis {
            let within = |error| within("store")(within("redis")(error));
            // The address may stand in a variable that says something else by now.
            let made_of = (redis.clone(), redis.address(env).map_err(within)?);
            let build = || {
                let (store, worker) = redis.clone().build_with_env(env)?;
                Ok((store, vec![worker]))
            };
            let store = parts.keep("store", "", made_of, build).map_err(within)?;
            parts.layers.store = Some(store.handle());
            parts.store = Some(store);
        }
        Ok(parts)
    }

    /// What an earlier stack has made of the same, or else what `build` makes now, with the workers that keep it going.
    pub(in crate::gateway) fn keep<M, T>(
        &mut self,
        kind: &'static str,
        name: &str,
        made_of: M,
        build: impl FnOnce() -> Result<(T, Vec<Worker>), ConfigError>,
    ) -> Result<T, ConfigError>
    where
        M: PartialEq + Send + Sync + 'static,
        T: Clone + Send + Sync + 'static,
    {
        let earlier = self.estate.map(|estate| &estate.kept);
        if let Some((made, entry)) = earlier.and_then(|kept| kept.find(kind, name, &made_of)) {
            self.kept.extend(entry);
            return Ok(made);
        }
        let (made, workers) = build()?;
        self.kept.add(kind, name, made_of, made.clone(), &workers);
        self.keepers.extend(workers);
        Ok(made)
    }

    /// What an earlier stack has made, whatever of, if it has.
    pub(in crate::gateway) fn keep_on<T: Clone + 'static>(
        &mut self,
        kind: &'static str,
        name: &str,
    ) -> Option<T> {
        let (made, entry) = self.estate?.kept.any(kind, name)?;
        self.kept.extend(entry);
        Some(made)
    }

    /// Where attempts are written down. Two cannot write one file.
    fn audit(&mut self, audit: &JsonlAuditBuilder) -> Result<Arc<dyn Ledger>, ConfigError> {
        let earlier = self.estate.and_then(|estate| estate.config.audit.as_ref());
        let made_of = match earlier.filter(|earlier| earlier.path() == audit.path()) {
            Some(earlier) => {
                self.held_back
                    .extend((earlier != audit).then(|| "audit".to_owned()));
                earlier
            }
            None => audit,
        };
        let made_of = made_of.clone();
        let build = || {
            let (audit, worker) = audit.clone().build()?;
            Ok((Arc::new(audit) as Arc<dyn Ledger>, vec![worker]))
        };
        self.keep(
            "audit",
            &made_of.path().display().to_string(),
            made_of,
            build,
        )
    }

    /// The client of an upstream, with its connections.
    pub(super) fn client(&mut self, upstream: &UpstreamConfig) -> Result<Client, ConfigError> {
        let origin = upstream.origin()?;
        let config = upstream.client.clone();
        // What cannot be read is for the client to say.
        let trusted = config.ca_file.as_ref().map(|file| fs::read(file).ok());
        let made_of = (config.clone(), origin.clone(), trusted);
        let build = || config.build(&origin).map(|client| (client, Vec::new()));
        let client = self.keep("client", &upstream.name, made_of, build);
        client.map_err(within("client"))
    }

    /// All workers that are to begin now, for a stack that nobody will replace.
    pub(super) fn into_workers(mut self) -> Vec<Worker> {
        self.at_last.into_iter().for_each(|act| act());
        self.kept.release();
        self.workers.extend(self.keepers);
        self.workers
    }

    /// What is to be put in force, but for the stack itself.
    pub(super) fn finish(&mut self, config: &Config) -> Beside {
        let workers = mem::take(&mut self.workers);
        let (layers, kept) = (mem::take(&mut self.layers), mem::take(&mut self.kept));
        let estate = Estate::new(config.clone(), layers, kept, &workers);
        let keepers = mem::take(&mut self.keepers);
        Beside {
            estate: Arc::new(estate),
            workers: workers.into_iter().chain(keepers).collect(),
            at_last: mem::take(&mut self.at_last),
            held_back: mem::take(&mut self.held_back),
        }
    }

    /// What the stack before was made from.
    pub(super) fn earlier(&self) -> Option<&'a Config> {
        self.estate.map(|estate| &estate.config)
    }

    /// What the stack before had, whatever it was made of.
    pub(in crate::gateway) fn latest<T: Clone + 'static>(
        &self,
        kind: &'static str,
        name: &str,
    ) -> Option<T> {
        self.estate?.kept.latest(kind, name)
    }

    /// Does this the moment before the stack is in force.
    pub(in crate::gateway) fn at_last(&mut self, act: impl FnOnce() + Send + 'static) {
        self.at_last.push(Box::new(act));
    }

    /// The limits of `scope`, in the store where there is one.
    pub(in crate::gateway) fn stored(
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
    ) -> Result<Option<TelemetryLayer>, ConfigError> {
        let Some(telemetry) = self.telemetry.clone() else {
            return Ok(None);
        };
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
        let telemetry = telemetry.models(names).recorder(recorder);
        let telemetry = telemetry.catalog(catalog.clone()).stats(handles.stats());
        telemetry.build().map(Some)
    }
}

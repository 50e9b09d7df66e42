//! From a configuration to layers.

use std::{borrow::Cow, convert::Infallible, env, fmt::Display, sync::Arc};

use http::{Request, Response};
use tower::util::option_layer;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Config, Gateway, Handles, InvalidConfig, UpstreamConfig,
    access_log::AccessLogLayer,
    models,
    switches::Switches,
    tenants::{self, AllowanceLayer},
};
use crate::{
    admission::{AdmissionBuilder, AdmissionLayer},
    budget::BudgetLayer,
    circuit_breaker::CircuitBreakerBuilder,
    client::{ModelRoute, Target, Upstreams},
    commit_guard::CommitGuardBuilder,
    cost_meter::{BillLayer, CostMeterLayer},
    key::KeyBy,
    ledger::{JsonlAuditBuilder, Ledger},
    message::{ConfigError, RequestBody, ResponseBody, catalog::ModelCatalog},
    model_rewrite::{ModelRewriteBuilder, ModelRewriteHandle, ModelRewriteLayer},
    model_select::ModelSelectBuilder,
    normalize::ResponseNormalizeBuilder,
    rate_limit::{RateLimitBuilder, RateLimitLayer},
    reserve::RedisLimiter,
    retry::RetryBuilder,
    server::tenants::AuthLayer,
    shadow::ShadowLayer,
    timeout::TimeoutBuilder,
    traffic_split::rollout::RolloutObserverLayer,
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

    /// The routes and upstreams alone, to stand under layers of one's own, and what keeps the upstreams' keys current.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_upstreams(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Upstreams, Vec<Worker>), InvalidConfig> {
        self.catalog()
            .and_then(|catalog| {
                let (store, worker) = self.store(env)?.unzip();
                let (upstreams, mut workers) =
                    self.upstreams(env, &catalog, None, store.as_ref(), &mut Handles::default())?;
                workers.extend(worker);
                Ok((upstreams, workers))
            })
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
        let audit = self.audit.clone().map(JsonlAuditBuilder::build);
        let (audit, audit_worker) = audit.transpose().map_err(within("audit"))?.unzip();
        let audit = audit.map(|audit| Arc::new(audit) as Arc<dyn Ledger>);
        let mut handles = Handles::default();
        let (store, store_worker) = self.store(env)?.unzip();
        let (upstreams, workers) =
            self.upstreams(env, &catalog, audit.as_ref(), store.as_ref(), &mut handles)?;
        let tenants = self.build_tenants()?;
        let aliases = rewrite.as_ref().map(ModelRewriteLayer::handle);
        let offer = models::Offer {
            rewrite: aliases.as_ref(),
            upstreams: &upstreams,
            config: self,
            catalog: &catalog,
        };
        let models = offer.models(None);
        let models_of = tenants.as_ref().map(|tenants| offer.models_of(tenants));

        // The layers that every request passes, outermost first.
        let log = self.server.access_log.then_some(AccessLogLayer);
        let bill = self.keeps_bills().then(BillLayer::new);
        let limit = self.rate_limit.clone();
        let limit = limit.map(|limit| kept_in(store.as_ref(), "callers", limit));
        let limit = limit.map(RateLimitBuilder::build);
        let limit = limit.transpose().map_err(within("rate_limit"))?;
        handles.set_tenant_limit(limit.as_ref().map(RateLimitLayer::handle));
        let auth = tenants.clone().map(AuthLayer::new);
        let allowances = tenants.is_some();
        let allowances =
            allowances.then(|| AllowanceLayer::new(self, store.as_ref(), &mut handles));
        let allowances = allowances.transpose()?;
        let admission = self.admission.clone().map(|admission| {
            let by_tenant = tenants.is_some() && !admission.has_priority();
            if by_tenant {
                admission.priority(tenants::priority())
            } else {
                admission
            }
        });
        let admission = admission.map(AdmissionBuilder::build);
        let admission = admission.transpose().map_err(within("admission"))?;
        handles.set_admission(admission.as_ref().map(AdmissionLayer::handle));
        let select = self.model_select.clone();
        let select = select.map(|select| select.catalog(catalog.clone()));
        let select = select.map(ModelSelectBuilder::build).transpose();
        let select = select.map_err(within("model_select"))?;
        let shadow = self.shadow(&upstreams).map_err(within("shadow"))?;
        let (shadow, shadow_worker) = shadow.unzip();
        let budget = self.budget(&catalog, aliases)?;
        handles.set_budgets(budget.as_ref().map(BudgetLayer::handle));
        let layers = (
            option_layer(log),
            option_layer(auth),
            option_layer(limit),
            option_layer(budget),
            option_layer(bill),
            option_layer(allowances),
            option_layer(admission),
            option_layer(select),
            option_layer(rewrite),
            option_layer(shadow),
        );
        let stack = layers.layer(ModelRoute::new(upstreams));

        let mut gateway = Gateway::new(&edge, stack)
            .with_handles(handles)
            .with_server(self.server.clone())
            .map_err(within("server"))?;
        if let Some(models) = models {
            gateway = gateway.with_models(models);
        }
        if let (Some(tenants), Some(models_of)) = (tenants, models_of) {
            gateway = gateway.with_tenants(tenants, models_of);
        }
        let workers = workers.into_iter().chain(audit_worker).chain(store_worker);
        let workers = workers.chain(shadow_worker);
        Ok(workers.fold(gateway, Gateway::with_worker))
    }

    /// What copies requests, and its worker.
    fn shadow(&self, upstreams: &Upstreams) -> Result<Option<(ShadowLayer, Worker)>, ConfigError> {
        let Some(builder) = &self.shadow else {
            return Ok(None);
        };
        let name = builder.target().unwrap_or_default();
        let Some(target) = upstreams.get(name) else {
            let names: Vec<_> = upstreams.iter().map(|target| &**target.name()).collect();
            let reason = format!(
                "there is no upstream or route {name:?}, but {}",
                names.join(", ")
            );
            return Err(ConfigError::new("target", reason));
        };
        builder.clone().build(target.clone()).map(Some)
    }

    /// The budgets, charged with what earlier runs spent.
    fn budget(
        &self,
        catalog: &ModelCatalog,
        aliases: Option<ModelRewriteHandle>,
    ) -> Result<Option<BudgetLayer>, ConfigError> {
        if self.budgets.is_empty() {
            return Ok(None);
        }
        // A request names a model as its caller does, and prices go by what an upstream calls it.
        let own: Vec<_> = self
            .upstreams
            .iter()
            .filter_map(|upstream| upstream.aliases.clone())
            .collect();
        let names = move |model: &str| {
            let aliases = aliases.as_ref().map(ModelRewriteHandle::aliases);
            let target = aliases.and_then(|aliases| aliases.resolve(model).map(Cow::into_owned));
            let here = target.as_deref().unwrap_or(model);
            let there = own
                .iter()
                .find_map(|aliases| aliases.resolve(here).map(Cow::into_owned));
            there.or(target)
        };
        let budget = BudgetLayer::builder()
            .budgets(self.budgets.clone())
            .catalog(catalog.clone())
            .metered(true)
            .names(names)
            .build()
            .map_err(within("budgets"))?;
        if let Some(audit) = &self.audit {
            let handle = budget.handle();
            let unread =
                |error: std::io::Error| ConfigError::new("path", error.to_string()).within("audit");
            for record in audit.read_back(handle.since()).map_err(unread)? {
                handle.recover([record.map_err(unread)?]);
            }
        }
        Ok(Some(budget))
    }

    /// Whether an attempt is metered anywhere.
    fn keeps_bills(&self) -> bool {
        self.audit.is_some()
            || !self.budgets.is_empty()
            || self
                .upstreams
                .iter()
                .any(|upstream| upstream.cost.is_some())
    }

    fn catalog(&self) -> Result<ModelCatalog, ConfigError> {
        self.catalog.build().map_err(within("catalog"))
    }

    /// What replicas share, and what settles there.
    fn store(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<(RedisLimiter, Worker)>, ConfigError> {
        let redis = self.store.redis.clone();
        let built = redis.map(|redis| redis.build_with_env(env)).transpose();
        built.map_err(within("redis")).map_err(within("store"))
    }

    fn upstreams(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        catalog: &ModelCatalog,
        audit: Option<&Arc<dyn Ledger>>,
        store: Option<&RedisLimiter>,
        handles: &mut Handles,
    ) -> Result<(Upstreams, Vec<Worker>), ConfigError> {
        let mut upstreams = Upstreams::builder();
        let mut workers = Vec::new();
        for (index, config) in self.upstreams.iter().enumerate() {
            let mut config = config.clone();
            if config.cost.is_none() && (audit.is_some() || !self.budgets.is_empty()) {
                config.cost = Some(CostMeterLayer::builder());
            }
            let observed = self.has_rollouts();
            let (target, own) = target(&config, env, catalog, audit, store, (handles, observed))
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
            workers.extend(own);
        }
        let switches = Switches::of(env)?;
        let (targets, of_routes) =
            self.targets(&upstreams.build()?, catalog, handles, &switches)?;
        workers.extend(of_routes);
        Ok((targets, workers))
    }

    /// Whether anything judges upstreams by their attempts.
    pub(super) fn has_rollouts(&self) -> bool {
        self.routes.iter().any(|route| route.rollout.is_some())
    }
}

/// The limits of `scope`, in the store where there is one.
pub(super) fn kept_in(
    store: Option<&RedisLimiter>,
    scope: &str,
    limit: RateLimitBuilder,
) -> RateLimitBuilder {
    match store {
        Some(store) => limit.limiter(Arc::new(store.scoped(scope))),
        None => limit,
    }
}

/// The stack of one upstream, down to its client.
fn target(
    config: &UpstreamConfig,
    env: &dyn Fn(&str) -> Option<String>,
    catalog: &ModelCatalog,
    audit: Option<&Arc<dyn Ledger>>,
    store: Option<&RedisLimiter>,
    (handles, observed): (&mut Handles, bool),
) -> Result<(Target, Vec<Worker>), ConfigError> {
    let (upstream, key_worker) = config.layer(env)?;
    let client = config
        .client
        .build(&config.origin()?)
        .map_err(within("client"))?;
    let rewrite = rewrite(config.rewrite(), catalog)?;

    let retry = config.retry.clone().map(RetryBuilder::build).transpose();
    let breaker = config.circuit_breaker.clone();
    let breaker = breaker.map(|breaker| breaker.stats(handles.stats()));
    let breaker = breaker.map(CircuitBreakerBuilder::build).transpose();
    let breaker = breaker.map_err(within("circuit_breaker"))?;
    if let Some(breaker) = &breaker {
        handles.add_breaker(&config.name, breaker.handle());
    }
    let guard = config.commit_guard.clone();
    let guard = guard.map(CommitGuardBuilder::build).transpose();
    let limit = config.rate_limit.clone().map(|limit| {
        let scope = format!("upstream {}", config.name);
        let limit = kept_in(store, &scope, limit.provider());
        match &config.models {
            Some(models) => limit.by(KeyBy::model_among(models.iter().cloned())),
            None => limit,
        }
    });
    let limit = limit.map(RateLimitBuilder::build).transpose();
    let limit = limit.map_err(within("rate_limit"))?;
    if let Some(limit) = &limit {
        handles.add_limit(&config.name, limit.handle());
    }
    let timeout = config
        .timeout
        .clone()
        .map(TimeoutBuilder::build)
        .transpose();

    let meter = meter(config, catalog, audit).map_err(within("cost"))?;
    let (meter, drain_worker) = meter.unzip();
    let workers = key_worker.into_iter().chain(drain_worker.flatten());
    let normalize = config.normalize.clone();
    let normalize = normalize.map(ResponseNormalizeBuilder::build).transpose();

    // The layers of this upstream alone, outermost first.
    let layers = (
        option_layer(retry.map_err(within("retry"))?),
        option_layer(observed.then_some(RolloutObserverLayer)),
        option_layer(breaker),
        option_layer(guard.map_err(within("commit_guard"))?),
        option_layer(timeout.map_err(within("timeout"))?),
        option_layer(limit),
        option_layer(meter),
        option_layer(rewrite),
        option_layer(normalize.map_err(within("normalize"))?),
        upstream,
    );
    let mut target = Target::new(config.name.as_str(), layers.layer(client));

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
    Ok((target, workers.collect()))
}

/// What meters an upstream's attempts, with the worker that reads answers on, where there is to be one.
fn meter(
    config: &UpstreamConfig,
    catalog: &ModelCatalog,
    audit: Option<&Arc<dyn Ledger>>,
) -> Result<Option<(CostMeterLayer, Option<Worker>)>, ConfigError> {
    let Some(builder) = config.cost.clone() else {
        return Ok(None);
    };
    let builder = builder.name(config.name.trim()).catalog(catalog.clone());
    let builder = builder.key(tenants::counted_by());
    let builder = match audit {
        Some(audit) => builder.ledger(Arc::clone(audit)),
        None => builder,
    };
    let (builder, worker) = builder.with_drainer()?;
    Ok(Some((builder.build()?, worker)))
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

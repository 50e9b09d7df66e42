//! The stack that every request passes.

use std::{borrow::Cow, sync::Arc};

use tower::util::option_layer;
use tower_layer::Layer;

use super::{Parts, Stack, within};
use crate::{
    admission::{AdmissionBuilder, AdmissionLayer},
    budget::BudgetLayer,
    client::{ModelRoute, Upstreams},
    cost_meter::BillLayer,
    gateway::{
        Config, Gateway,
        access_log::AccessLogLayer,
        models,
        tenants::{self, AllowanceLayer},
    },
    message::ConfigError,
    model_rewrite::{ModelRewriteHandle, ModelRewriteLayer},
    model_select::ModelSelectBuilder,
    rate_limit::{RateLimitBuilder, RateLimitLayer},
    server::tenants::AuthLayer,
    shadow::ShadowLayer,
};

impl Config {
    pub(super) fn gateway(
        &self,
        mut parts: Parts<'_>,
    ) -> Result<Gateway<impl Stack + use<>>, ConfigError> {
        let parts = &mut parts;
        let edge = self.edge.clone().guard_all(true).build();
        let edge = edge.map_err(within("edge"))?;
        let rewrite = self.models.clone();
        let rewrite = rewrite.map(|rewrite| rewrite.catalog(parts.catalog.clone()).build());
        let rewrite = rewrite.transpose().map_err(within("models"))?;
        let upstreams = self.upstreams(parts)?;
        let tenants = self.build_tenants()?;
        let aliases = rewrite.as_ref().map(ModelRewriteLayer::handle);
        let offer = models::Offer {
            rewrite: aliases.as_ref(),
            upstreams: &upstreams,
            config: self,
            catalog: &parts.catalog,
        };
        let models = offer.models(None);
        let models_of = tenants.as_ref().map(|tenants| offer.models_of(tenants));

        let log = self.server.access_log.then_some(AccessLogLayer);
        let bill = self.keeps_bills().then(BillLayer::new);
        let limit = self.rate_limit.clone();
        let limit = limit.map(|limit| parts.kept("callers", limit));
        let limit = limit.map(RateLimitBuilder::build);
        let limit = limit.transpose().map_err(within("rate_limit"))?;
        let limit_handle = limit.as_ref().map(RateLimitLayer::handle);
        parts.handles.set_tenant_limit(limit_handle);
        let auth = tenants.clone().map(AuthLayer::new);
        let allowances = tenants.is_some();
        let allowances = allowances.then(|| AllowanceLayer::new(self, parts));
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
        let admission_handle = admission.as_ref().map(AdmissionLayer::handle);
        parts.handles.set_admission(admission_handle);
        let select = self.model_select.clone();
        let select = select.map(|select| select.catalog(parts.catalog.clone()));
        let select = select.map(ModelSelectBuilder::build).transpose();
        let select = select.map_err(within("model_select"))?;
        let shadow = self.shadow(&upstreams, parts).map_err(within("shadow"))?;
        let budget = self.budget(aliases, parts)?;
        let budget_handle = budget.as_ref().map(BudgetLayer::handle);
        parts.handles.set_budgets(budget_handle);

        if let Some(shadow) = &shadow {
            parts.handles.meters().set_shadow(shadow.handle());
        }
        parts.handles.sample();

        // Outermost first.
        let layers = (
            parts.telemetry.clone(),
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
            .with_handles(std::mem::take(&mut parts.handles))
            .with_server(self.server.clone())
            .map_err(within("server"))?;
        if let Some(models) = models {
            gateway = gateway.with_models(models);
        }
        if let (Some(tenants), Some(models_of)) = (tenants, models_of) {
            gateway = gateway.with_tenants(tenants, models_of);
        }
        let workers = std::mem::take(&mut parts.workers);
        Ok(workers.into_iter().fold(gateway, Gateway::with_worker))
    }

    /// What copies requests.
    fn shadow(
        &self,
        upstreams: &Upstreams,
        parts: &mut Parts<'_>,
    ) -> Result<Option<ShadowLayer>, ConfigError> {
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
        let (shadow, worker) = builder.clone().build(target.clone())?;
        parts.workers.push(worker);
        Ok(Some(shadow))
    }

    /// The budgets, charged with what earlier runs spent.
    fn budget(
        &self,
        aliases: Option<ModelRewriteHandle>,
        parts: &Parts<'_>,
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
        let mut budget = BudgetLayer::builder()
            .budgets(self.budgets.clone())
            .catalog(parts.catalog.clone())
            .metered(true)
            .names(names);
        if let Some(store) = &parts.store {
            budget = budget.store(Arc::new(store.budgets()));
        }
        let budget = budget.build().map_err(within("budgets"))?;
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
        self.meters_all()
            || self
                .upstreams
                .iter()
                .any(|upstream| upstream.cost.is_some())
    }
}

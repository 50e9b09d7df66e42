//! The stack that every request passes.

use std::{borrow::Cow, sync::Arc};

use http::Request;
use tower::util::option_layer;
use tower_layer::Layer;

use super::{Parts, Stack, within};
use crate::{
    admission::AdmissionBuilder,
    budget::BudgetLayer,
    client::{ModelRoute, Upstreams},
    cost_meter::BillLayer,
    gateway::{
        Config,
        access_log::AccessLogLayer,
        config::no_such,
        listing::Listing,
        reload::{Beside, Generation, Guests},
        tenants::{self, AllowanceLayer},
    },
    message::{ConfigError, RequestBody},
    model_rewrite::{ModelRewriteHandle, ModelRewriteLayer},
    model_select::ModelSelectBuilder,
    rate_limit::{RateLimitBuilder, RateLimitLayer},
    server::{
        Ready,
        feedback::FeedbackLayer,
        tenants::{AuthLayer, Tenants},
    },
    shadow::ShadowLayer,
};

impl Config {
    pub(super) fn generation(
        &self,
        mut parts: Parts<'_>,
    ) -> Result<(Generation<impl Stack + use<>>, Beside), ConfigError> {
        let parts = &mut parts;
        let edge = self.edge.clone().guard_all(true);
        let built = parts.keep("edge", "", edge.clone(), || Ok((edge.build()?, Vec::new())));
        let edge = built.map_err(within("edge"))?;
        let rewrite = self.models.clone();
        let before = Arc::clone(&parts.before);
        let rewrite = rewrite.map(|rewrite| rewrite.catalog(parts.catalog.clone()));
        let rewrite = rewrite.map(|rewrite| rewrite.continuing(before.models.as_ref()).build());
        let rewrite = rewrite.transpose().map_err(within("models"))?;
        let upstreams = self.upstreams(parts)?;
        let tenants = self.tenants_of(parts)?;
        let aliases = rewrite.as_ref().map(ModelRewriteLayer::handle);
        let listing = Listing::new(
            self,
            aliases.clone(),
            &upstreams,
            &parts.catalog,
            tenants.as_ref(),
            parts.stats,
        );

        let log = self.server.access_log.then_some(AccessLogLayer);
        let bill = self.keeps_bills().then(BillLayer::new);
        let feedback = self.feedback.clone().map(|feedback| {
            let made_of = feedback.clone();
            let build = || {
                feedback
                    .build()
                    .map(|(layer, worker)| (layer, vec![worker]))
            };
            parts.keep("feedback", "", made_of, build)
        });
        let feedback = feedback.transpose().map_err(within("feedback"))?;
        parts.layers.feedback = feedback.as_ref().map(FeedbackLayer::handle);
        let limit = self.rate_limit.clone();
        let earlier = before.rate_limit.as_ref();
        let limit = limit.map(|limit| parts.stored("callers", limit).continuing(earlier));
        let limit = limit.map(RateLimitBuilder::build);
        let limit = limit.transpose().map_err(within("rate_limit"))?;
        parts.layers.rate_limit = limit.as_ref().map(RateLimitLayer::handle);
        let auth = tenants.clone().map(AuthLayer::new);
        let allowances = tenants.is_some().then(|| AllowanceLayer::new(self, parts));
        let allowances = allowances.transpose()?;
        let admission = self.admission.clone().map(|admission| {
            let admission = admission.continuing(before.admission.as_ref());
            let by_tenant = tenants.is_some() && !admission.has_priority();
            if by_tenant {
                admission.priority(tenants::priority())
            } else {
                admission
            }
        });
        let admission = admission.map(AdmissionBuilder::build);
        let admission = admission.transpose().map_err(within("admission"))?;
        if let Some(admission) = &admission {
            parts.layers.admission = Some(admission.handle());
            parts.at_last(admission.take_over());
        }
        let select = self.model_select.clone();
        let select = select.map(|select| {
            let (route, aliases) = (ModelRoute::new(upstreams.clone()), aliases.clone());
            let served = move |model: &str, request: &Request<RequestBody>| {
                let target = aliases.as_ref().and_then(|aliases| aliases.resolve(model));
                route.serves(target.as_deref().unwrap_or(model), request)
            };
            select.catalog(parts.catalog.clone()).served(served)
        });
        let select = select.map(ModelSelectBuilder::build).transpose();
        let select = select.map_err(within("model_select"))?;
        let shadow = self.shadow(&upstreams, parts).map_err(within("shadow"))?;
        let caches = self.caches(&upstreams, parts)?;
        let budget = self.budget(aliases.clone(), parts)?;
        parts.layers.models = aliases;
        parts.layers.budgets = budget.as_ref().map(BudgetLayer::handle);
        let operators = self.operators(parts, &listing)?;

        // Outermost first.
        let layers = (
            option_layer(parts.telemetry.clone()),
            option_layer(log),
            // A score is no request of an upstream's, which tenants and limits are about.
            option_layer(feedback),
            option_layer(auth),
            option_layer(limit),
            option_layer(budget),
            option_layer(bill),
            option_layer(allowances),
            option_layer(admission),
            option_layer(select),
            option_layer(rewrite),
            option_layer(caches),
            option_layer(shadow),
        );
        let stack = layers.layer(ModelRoute::new(upstreams));

        let cors = self.server.cors().map_err(within("server"))?;
        let guests = tenants.zip(listing.models_of().cloned());
        let names = self.upstreams.iter().map(|upstream| upstream.name.clone());
        let ready = Ready::new(parts.stats, names);
        let beside = parts.finish(self);
        let generation = Generation {
            edge: edge.layer(stack),
            models: listing.models().cloned(),
            guests: guests.map(|(tenants, models)| Guests { tenants, models }),
            cors,
            names: self.server.headers.clone(),
            ready,
            operators,
            estate: Arc::clone(&beside.estate),
        };
        Ok((generation, beside))
    }

    /// Who may call; the same as before where nothing is said differently, so that no change of a key is lost.
    fn tenants_of(&self, parts: &mut Parts<'_>) -> Result<Option<Tenants>, ConfigError> {
        let before = parts.before.tenants.clone();
        let built = self.build_tenants(before.as_ref())?;
        let is_same = |earlier: &Self| {
            earlier.tenants == self.tenants && earlier.tenant_state == self.tenant_state
        };
        let same = before.filter(|_| parts.earlier().is_some_and(is_same));
        let tenants = built.map(|built| same.unwrap_or(built));
        parts.layers.tenants.clone_from(&tenants);
        Ok(tenants)
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
            let reason = no_such("upstream or route", name, &names);
            return Err(ConfigError::new("target", reason));
        };
        let builder = builder.clone().continuing(parts.before.shadow.as_ref());
        let (shadow, worker) = builder.build(target.clone())?;
        parts.layers.shadow = Some(shadow.handle());
        parts.workers.push(worker);
        Ok(Some(shadow))
    }

    /// The budgets, charged with what earlier runs spent.
    fn budget(
        &self,
        aliases: Option<ModelRewriteHandle>,
        parts: &mut Parts<'_>,
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
            let target = aliases.as_ref().and_then(|aliases| aliases.resolve(model));
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
        let before = parts.before.budgets.clone();
        if let Some(before) = &before {
            parts.at_last(budget.take_over(before));
        }
        let mut budgets = self.budgets.iter();
        let has_new = budgets.any(|of| before.as_ref().is_none_or(|before| !before.keeps(of)));
        if let Some(audit) = self.audit.as_ref().filter(|_| has_new) {
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

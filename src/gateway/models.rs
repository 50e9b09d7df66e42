//! Which models a gateway lists.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Config, UpstreamConfig};
use crate::{
    client::{Target, Upstreams},
    message::{
        AllowedModels, AllowedUpstreams, ModelPattern,
        catalog::{ModelCatalog, ModelInfo},
    },
    model_rewrite::ModelRewriteHandle,
    server::{
        Model, Models,
        tenants::{Tenant, Tenants},
    },
};

/// What a gateway has to offer.
pub(super) struct Offer<'a> {
    pub(super) rewrite: Option<&'a ModelRewriteHandle>,
    pub(super) upstreams: &'a Upstreams,
    pub(super) config: &'a Config,
    pub(super) catalog: &'a ModelCatalog,
}

impl Offer<'_> {
    /// The names that a request may ask for, one of `tenant`'s if any: the aliases, and what upstreams say they serve, where that passes the
    /// aliases. Patterns name no model. Each with what the catalog knows of it at the upstream that serves it. `None` where there
    /// is no name at all: then the first upstream's own list is the better answer.
    pub(super) fn models(&self, tenant: Option<&Tenant>) -> Option<Models> {
        let allowed = tenant.and_then(Tenant::allowed_upstreams);
        let mut models = Vec::new();
        let mut seen = HashSet::new();
        let mut list = |name: String, owner: Option<&str>, model: &str| {
            let may = tenant.is_none_or(|tenant| tenant.may_ask_for(&name));
            if may && seen.insert(name.clone()) {
                let listed = Model::new(name, owner.unwrap_or("tower-relay"));
                models.push(self.with_info(listed, owner, model));
            }
        };
        if let Some(rewrite) = self.rewrite {
            let aliases = rewrite.aliases();
            let names = aliases.names().into_iter();
            for name in names.filter(|name| !name.contains('*')) {
                let model = aliases.resolve(&name).unwrap_or_default();
                if let Ok(target) = self.server(&model, allowed) {
                    let owner = target.map(|target| self.owner(target, allowed));
                    list(name, owner, &model);
                }
            }
        }
        let passes = |name: &str| self.rewrite.is_none_or(|rewrite| rewrite.passes(name));
        let routes = self.config.routes.iter();
        let routes = routes.map(|route| (route.name.as_str(), &route.models));
        let named = self.config.upstreams.iter();
        let named = named.map(|upstream| (upstream.name.as_str(), &upstream.models));
        for (name, served) in routes.chain(named) {
            let Some(target) = self.upstreams.get(name) else {
                continue;
            };
            if allowed.is_some_and(|allowed| !target.is_allowed(allowed)) {
                continue;
            }
            let owner = self.owner(target, allowed);
            for model in exact(served.as_deref().unwrap_or_default()) {
                if passes(&model) {
                    list(model.clone(), Some(owner), &model);
                }
            }
        }
        // What only the tenant names.
        let own = tenant.and_then(Tenant::allowed_models);
        for model in exact(own.map_or(&[], AllowedModels::patterns)) {
            if passes(&model)
                && let Ok(Some(target)) = self.server(&model, allowed)
            {
                list(model.clone(), Some(self.owner(target, allowed)), &model);
            }
        }
        (!models.is_empty()).then(|| Models::new(models))
    }

    /// The same for each tenant, by their names, where it is not the upstream's own list.
    pub(super) fn models_of(&self, tenants: &Tenants) -> HashMap<String, Models> {
        let lists_models = self.models(None).is_some();
        let of = |tenant: Arc<Tenant>| {
            let is_bound = lists_models || tenant.allowed_models().is_some();
            let models = self.models(Some(&tenant));
            let models = models.or_else(|| is_bound.then(Models::default))?;
            Some((tenant.name().to_owned(), models))
        };
        tenants.iter().filter_map(of).collect()
    }

    fn with_info(&self, listed: Model, owner: Option<&str>, model: &str) -> Model {
        let mut upstreams = self.config.upstreams.iter();
        let owner = upstreams.find(|upstream| owner == Some(&upstream.name));
        let known = match owner {
            Some(owner) => at_upstream(self.catalog, owner, model),
            None => self.catalog.get(model),
        };
        match known {
            Some(info) => listed.with_info(&info),
            None => listed,
        }
    }

    /// The target that serves `model`, as [`ModelRoute`](crate::client::ModelRoute) chooses it, where it says so.
    fn server(
        &self,
        model: &str,
        allowed: Option<&AllowedUpstreams>,
    ) -> Result<Option<&Target>, NotAllowed> {
        let names = |target: &&Target| target.names_models() && target.serves_model(model);
        let may = |target: &&Target| allowed.is_none_or(|allowed| target.is_allowed(allowed));
        let targets = || self.upstreams.iter().filter(may);
        let server = targets().find(names);
        let server = server.or_else(|| targets().find(|target| !target.names_models()));
        if server.is_none()
            && allowed.is_some()
            && self.upstreams.iter().any(|target| names(&target))
        {
            return Err(NotAllowed);
        }
        Ok(server)
    }

    /// The upstream that `target` begins with; of those that are allowed the first that it has.
    fn owner<'a>(&'a self, target: &'a Target, allowed: Option<&AllowedUpstreams>) -> &'a str {
        let first = self.config.first_upstream(target.name());
        if allowed.is_none_or(|allowed| allowed.contains(first)) {
            return first;
        }
        let names = self
            .config
            .upstreams
            .iter()
            .map(|upstream| upstream.name.as_str());
        let mut names = names.filter(|name| allowed.is_some_and(|allowed| allowed.contains(name)));
        names
            .find(|name| target.is_allowed(&AllowedUpstreams::new([*name])))
            .unwrap_or(first)
    }
}

/// Only upstreams serve it that are not allowed.
struct NotAllowed;

fn exact(models: &[ModelPattern]) -> impl Iterator<Item = String> {
    models
        .iter()
        .filter(|model| model.is_exact())
        .map(ModelPattern::to_string)
}

/// What is known of `model`, or else of what the upstream calls it.
fn at_upstream(
    catalog: &ModelCatalog,
    upstream: &UpstreamConfig,
    model: &str,
) -> Option<Arc<ModelInfo>> {
    let provider = upstream.name.trim();
    catalog.get_at(provider, model).or_else(|| {
        let own = upstream.aliases.as_ref()?.resolve(model)?;
        catalog.get_at(provider, &own)
    })
}

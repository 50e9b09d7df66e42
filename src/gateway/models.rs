//! Which models a gateway lists.

use std::{collections::HashSet, sync::Arc};

use super::{Config, UpstreamConfig};
use crate::{
    client::{Target, Upstreams},
    message::{
        ModelPattern,
        catalog::{ModelCatalog, ModelInfo},
    },
    model_rewrite::ModelRewriteHandle,
    server::{Model, Models},
};

/// The names that a request may ask for: the aliases, and what upstreams say they serve, where that passes the aliases.
/// Patterns name no model. Each with what the catalog knows of it at the upstream that serves it. `None` where there is no name at all: then the first upstream's own list is the better answer.
pub(super) fn offered(
    rewrite: Option<&ModelRewriteHandle>,
    upstreams: &Upstreams,
    config: &Config,
    catalog: &ModelCatalog,
) -> Option<Models> {
    let with_info = |listed: Model, owner: Option<&str>, model: &str| {
        let mut upstreams = config.upstreams.iter();
        let owner = upstreams.find(|upstream| owner == Some(&upstream.name));
        let known = match owner {
            Some(owner) => at_upstream(catalog, owner, model),
            None => catalog.get(model),
        };
        match known {
            Some(info) => listed.with_info(&info),
            None => listed,
        }
    };
    let mut models = Vec::new();
    let mut seen = HashSet::new();
    if let Some(rewrite) = rewrite {
        let aliases = rewrite.aliases();
        for name in aliases
            .names()
            .into_iter()
            .filter(|name| !name.contains('*'))
        {
            let target = aliases.resolve(&name).unwrap_or_default();
            let owner = server(upstreams, &target).map(|name| config.first_upstream(name));
            let listed = Model::new(&name, owner.unwrap_or("tower-relay"));
            models.push(with_info(listed, owner, &target));
            seen.insert(name);
        }
    }
    let routes = config.routes.iter();
    let routes = routes.map(|route| (config.first_upstream(&route.name), &route.models));
    let named = config.upstreams.iter();
    let named = named.map(|upstream| (upstream.name.as_str(), &upstream.models));
    for (owner, served) in routes.chain(named) {
        for name in served
            .iter()
            .flatten()
            .filter(|model| model.is_exact())
            .map(ModelPattern::to_string)
        {
            if rewrite.is_none_or(|rewrite| rewrite.passes(&name)) && seen.insert(name.clone()) {
                let listed = Model::new(&name, owner);
                models.push(with_info(listed, Some(owner), &name));
            }
        }
    }
    (!models.is_empty()).then(|| Models::new(models))
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

/// The upstream that serves `model`, as [`ModelRoute`](crate::client::ModelRoute) chooses it.
fn server<'a>(upstreams: &'a Upstreams, model: &str) -> Option<&'a str> {
    let named = upstreams
        .iter()
        .find(|target| target.names_models() && target.serves_model(model));
    let target = named.or_else(|| upstreams.iter().find(|target| !target.names_models()));
    target.map(Target::name).map(|name| &**name)
}

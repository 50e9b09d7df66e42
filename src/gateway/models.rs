//! Which models a gateway lists.

use std::collections::HashSet;

use super::UpstreamConfig;
use crate::{
    client::{Target, Upstreams},
    message::ModelPattern,
    model_rewrite::ModelRewriteHandle,
    server::{Model, Models},
};

/// The names that a request may ask for: the aliases, and what upstreams say they serve, where that passes the aliases.
/// Patterns name no model. `None` where there is no name at all: then the first upstream's own list is the better answer.
pub(super) fn offered(
    rewrite: Option<&ModelRewriteHandle>,
    upstreams: &Upstreams,
    configs: &[UpstreamConfig],
) -> Option<Models> {
    let mut models = Vec::new();
    let mut seen = HashSet::new();
    if let Some(rewrite) = rewrite {
        let aliases = rewrite.aliases();
        for name in aliases
            .names()
            .into_iter()
            .filter(|name| !name.contains('*'))
        {
            let owner = aliases
                .resolve(&name)
                .and_then(|target| server(upstreams, &target));
            models.push(Model::new(&name, owner.unwrap_or("tower-relay")));
            seen.insert(name);
        }
    }
    for config in configs {
        for name in config
            .models
            .iter()
            .flatten()
            .filter(|model| model.is_exact())
            .map(ModelPattern::to_string)
        {
            if rewrite.is_none_or(|rewrite| rewrite.passes(&name)) && seen.insert(name.clone()) {
                models.push(Model::new(name, &config.name));
            }
        }
    }
    (!models.is_empty()).then(|| Models::new(models))
}

/// The upstream that serves `model`, as [`ModelRoute`](crate::client::ModelRoute) chooses it.
fn server<'a>(upstreams: &'a Upstreams, model: &str) -> Option<&'a str> {
    let named = upstreams
        .iter()
        .find(|target| target.names_models() && target.serves_model(model));
    let target = named.or_else(|| upstreams.iter().find(|target| !target.names_models()));
    target.map(Target::name).map(|name| &**name)
}

use serde::Deserialize;

use crate::{
    fallback::FallbackBuilder,
    message::{ConfigError, Endpoint, ModelPattern},
};

/// A named way among upstreams: chosen for a request, and for other routes, like an upstream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RouteConfig {
    /// Its name, which no upstream has.
    pub name: String,
    /// Its name for people.
    pub label: Option<String>,
    /// The models that it serves, after the gateway's own aliases: names, or patterns with a `*`. Those of its first target, unless
    /// it is said.
    pub models: Option<Vec<ModelPattern>>,
    /// The endpoints that it serves. Those of its first target, unless it is said.
    pub endpoints: Option<Vec<Endpoint>>,
    /// Goes from target to target when one fails. Must be there, as it is the only kind of route so far.
    pub fallback: Option<FallbackBuilder>,
}

impl RouteConfig {
    /// How its targets are chosen.
    pub(crate) fn fallback(&self) -> Result<&FallbackBuilder, ConfigError> {
        self.fallback
            .as_ref()
            .ok_or_else(|| ConfigError::new("fallback", "is missing: which targets does it have?"))
    }

    /// The names of its targets.
    pub(crate) fn targets(&self) -> &[String] {
        self.fallback
            .as_ref()
            .map_or(&[], FallbackBuilder::get_targets)
    }
}

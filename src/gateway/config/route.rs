use serde::Deserialize;

use crate::{
    fallback::FallbackBuilder,
    message::{ConfigError, Endpoint, ModelPattern},
    traffic_split::{TrafficSplitBuilder, rollout::RolloutBuilder},
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
    /// Goes from target to target when one fails. This or `split` must be there.
    pub fallback: Option<FallbackBuilder>,
    /// Splits requests among its targets by weight. This or `fallback` must be there.
    pub split: Option<TrafficSplitBuilder>,
    /// Moves the weights of its split in stages.
    pub rollout: Option<RolloutBuilder>,
}

/// What kind of route it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    Fallback(&'a FallbackBuilder),
    Split(&'a TrafficSplitBuilder, Option<&'a RolloutBuilder>),
}

impl RouteConfig {
    /// How its targets are chosen.
    pub(crate) fn way(&self) -> Result<Way<'_>, ConfigError> {
        let wrong =
            |field: &'static str, reason: &'static str| Err(ConfigError::new(field, reason));
        match (&self.fallback, &self.split) {
            (Some(_), Some(_)) => wrong(
                "split",
                "cannot stand beside fallback: make one a route of its own, and a target of the other",
            ),
            (Some(_), None) if self.rollout.is_some() => {
                wrong("rollout", "has no split whose weights it could move")
            }
            (Some(fallback), None) => Ok(Way::Fallback(fallback)),
            (None, Some(split)) => Ok(Way::Split(split, self.rollout.as_ref())),
            (None, None) => wrong(
                "fallback",
                "is missing, and split too: which targets does it have?",
            ),
        }
    }

    /// The names of its targets.
    pub(crate) fn targets(&self) -> &[String] {
        self.way().map_or(&[], Way::targets)
    }
}

impl<'a> Way<'a> {
    /// The table that says so.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Fallback(_) => "fallback",
            Self::Split(..) => "split",
        }
    }

    /// The names of its targets.
    pub(crate) fn targets(self) -> &'a [String] {
        match self {
            Self::Fallback(fallback) => fallback.get_targets(),
            Self::Split(split, _) => split.get_targets(),
        }
    }
}

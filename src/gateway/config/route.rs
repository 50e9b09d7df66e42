use serde::Deserialize;

use super::RouteCache;
use crate::{
    balance::BalanceBuilder,
    fallback::FallbackBuilder,
    hedge::HedgeBuilder,
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
    /// Goes from target to target when one fails. This, `split`, `balance` or `hedge` must be there.
    pub fallback: Option<FallbackBuilder>,
    /// Splits requests among its targets by weight.
    pub split: Option<TrafficSplitBuilder>,
    /// Gives each request to the target that is likely to answer it soonest.
    pub balance: Option<BalanceBuilder>,
    /// Asks a second target when the first is slow.
    pub hedge: Option<HedgeBuilder>,
    /// Moves the weights of its split in stages.
    pub rollout: Option<RolloutBuilder>,
    /// Which of its answers are given again, in place of what the gateway's [`cache`](crate::gateway::Config::cache) says: of requests that it is chosen
    /// for, not of those that another route sends here. As there, unless it is said.
    pub cache: Option<RouteCache>,
}

/// What kind of route it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    Fallback(&'a FallbackBuilder),
    Split(&'a TrafficSplitBuilder, Option<&'a RolloutBuilder>),
    Balance(&'a BalanceBuilder),
    Hedge(&'a HedgeBuilder),
}

impl RouteConfig {
    /// How its targets are chosen.
    pub(crate) fn way(&self) -> Result<Way<'_>, ConfigError> {
        let rollout = self.rollout.as_ref();
        let split = |split| Way::Split(split, rollout);
        let ways = [
            self.fallback.as_ref().map(Way::Fallback),
            self.split.as_ref().map(split),
            self.balance.as_ref().map(Way::Balance),
            self.hedge.as_ref().map(Way::Hedge),
        ];
        let mut ways = ways.into_iter().flatten();
        let Some(way) = ways.next() else {
            let reason =
                "is missing, and split, balance and hedge too: which targets does it have?";
            return Err(ConfigError::new("fallback", reason));
        };
        if let Some(other) = ways.next() {
            let reason = format!(
                "cannot stand beside {}: make one a route of its own, and a target of the other",
                way.field()
            );
            return Err(ConfigError::new(other.field(), reason));
        }
        if rollout.is_some() && !matches!(way, Way::Split(..)) {
            let reason = "has no split whose weights it could move";
            return Err(ConfigError::new("rollout", reason));
        }
        Ok(way)
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
            Self::Balance(_) => "balance",
            Self::Hedge(_) => "hedge",
        }
    }

    /// The names of its targets.
    pub(crate) fn targets(self) -> &'a [String] {
        match self {
            Self::Fallback(fallback) => fallback.get_targets(),
            Self::Split(split, _) => split.get_targets(),
            Self::Balance(balance) => balance.get_targets(),
            Self::Hedge(hedge) => hedge.get_targets(),
        }
    }
}

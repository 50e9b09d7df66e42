//! Switches in the environment, for when a configuration is too slow to change.

use std::sync::Arc;

use super::Config;
use crate::{
    client::{Target, Upstreams},
    message::ConfigError,
    traffic_split::TrafficSplitHandle,
};

const FORCE_MODEL: &str = "FORCE_MODEL";
const USE_ROUTING: &str = "USE_ROUTING";

/// What the environment says of all splits (guide E): `FORCE_MODEL` names a target, or a model that one names, which gets all stateless
/// requests of every split that has it; `USE_ROUTING=false` gives them to the baselines. Rollouts stand still meanwhile.
#[derive(Debug, Default)]
pub(super) struct Switches {
    model: Option<String>,
    without_routing: bool,
}

/// Whether it is one of the switches, and no field of a file.
pub(super) fn is_switch(name: &str) -> bool {
    [FORCE_MODEL, USE_ROUTING].contains(&name)
}

/// Sends all stateless requests of a split to one of its targets.
pub(super) fn force(split: &TrafficSplitHandle, target: &str) {
    match split.force(Some(target)) {
        Ok(()) => {
            tracing::warn!(target_name = %target, "a switch in the environment forces a split");
        }
        Err(error) => tracing::error!(%error, "a split cannot be forced"),
    }
}

impl Switches {
    pub(super) fn of(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let set = |name| env(name).filter(|value: &String| !value.trim().is_empty());
        let without_routing = match set(USE_ROUTING) {
            None => false,
            Some(value) => match value.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => false,
                "false" | "0" => true,
                _ => {
                    return Err(ConfigError::new(
                        USE_ROUTING,
                        "must be true or false in the environment",
                    ));
                }
            },
        };
        Ok(Self {
            model: set(FORCE_MODEL).map(|model| model.trim().to_owned()),
            without_routing,
        })
    }

    /// Where they send all stateless requests of a split of these members, if anywhere.
    pub(super) fn forced(&self, members: &Upstreams) -> Option<Arc<str>> {
        let forced = self.model.as_ref();
        let forced = forced.and_then(|model| Self::target(model, members));
        let baseline = || {
            self.without_routing
                .then(|| members.iter().next())
                .flatten()
        };
        let target = forced.or_else(baseline)?;
        Some(Arc::clone(target.name()))
    }

    /// Makes sure that a model which is forced is known to a split, if there is any: what is to stop harm is not to fail in silence.
    pub(super) fn check(&self, config: &Config, targets: &Upstreams) -> Result<(), ConfigError> {
        let Some(model) = &self.model else {
            return Ok(());
        };
        let splits = config.routes.iter().filter(|route| route.split.is_some());
        let mut names = splits.flat_map(super::RouteConfig::targets).peekable();
        if names.peek().is_none() {
            return Ok(());
        }
        let mut known = names.filter_map(|name| targets.get(name));
        if known.any(|target| Self::is(target, model)) {
            return Ok(());
        }
        Err(ConfigError::new(
            FORCE_MODEL,
            format!(
                "{model:?}, which the environment says, is neither a target of a split nor a model that one names"
            ),
        ))
    }

    fn target<'a>(model: &str, members: &'a Upstreams) -> Option<&'a Target> {
        let named = members.get(model);
        named.or_else(|| members.iter().find(|target| Self::is(target, model)))
    }

    fn is(target: &Target, model: &str) -> bool {
        &**target.name() == model || (target.names_models() && target.serves_model(model))
    }
}

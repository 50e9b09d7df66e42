//! From the routes of a configuration to targets.

use std::collections::{HashMap, HashSet};

use super::{
    Config, RouteConfig,
    config::{Way, no_empty_lists, no_such},
    stack::Parts,
    switches,
};
use crate::{
    client::{Target, Upstreams, UpstreamsBuilder},
    message::ConfigError,
    reserve::RedisBuilder,
    traffic_split::{
        TrafficSplitHandle, WeakSteering,
        rollout::{Rollout, RolloutBuilder},
    },
    worker::ShutdownHandle,
};

/// How deep routes may lie within routes: a request passes all of them.
const MAX_DEPTH: usize = 8;

impl Config {
    /// All that a request may be given to: the routes, which come first as they are the better choice, and the upstreams.
    pub(super) fn targets(
        &self,
        upstreams: &Upstreams,
        parts: &mut Parts<'_>,
    ) -> Result<Upstreams, ConfigError> {
        self.check_names(upstreams)?;
        // What is built already, by its name: first the upstreams, then routes over these, then routes over those.
        let mut built: HashMap<&str, Target> = upstreams
            .iter()
            .map(|target| (&**target.name(), target.clone()))
            .collect();
        for _ in 0..MAX_DEPTH {
            let mut level = Vec::new();
            for (index, route) in self.routes.iter().enumerate() {
                let is_next = !built.contains_key(route.name.as_str())
                    && route
                        .targets()
                        .iter()
                        .all(|name| built.contains_key(name.as_str()));
                if is_next {
                    let target = self.route(route, &built, parts);
                    let target = target.map_err(|error| at(index, error))?;
                    level.push((route.name.as_str(), target));
                }
            }
            if level.is_empty() {
                break;
            }
            built.extend(level);
        }
        let mut targets = Upstreams::builder();
        for (index, route) in self.routes.iter().enumerate() {
            let Some(target) = built.get(route.name.as_str()) else {
                return Err(at(index, self.endless(route, &built)));
            };
            targets = targets.add(target.clone());
        }
        let upstreams = upstreams.iter().cloned();
        let targets = upstreams.fold(targets, UpstreamsBuilder::add).build()?;
        parts.switches.check(self, &targets)?;
        Ok(targets)
    }

    /// The upstream that a route, or an upstream itself, begins with.
    pub(super) fn first_upstream<'a>(&'a self, mut name: &'a str) -> &'a str {
        for _ in 0..MAX_DEPTH {
            let route = self.routes.iter().find(|route| route.name == name);
            let Some(first) = route.and_then(|route| route.targets().first()) else {
                break;
            };
            name = first;
        }
        name
    }

    fn check_names(&self, upstreams: &Upstreams) -> Result<(), ConfigError> {
        let mut names: HashSet<&str> = upstreams.iter().map(|target| &**target.name()).collect();
        for (index, route) in self.routes.iter().enumerate() {
            let wrong = |reason: String| Err(at(index, ConfigError::new("name", reason)));
            if route.name.is_empty() {
                return wrong("must not be empty".to_owned());
            }
            if !names.insert(&route.name) {
                return wrong(format!(
                    "{:?} is there twice: routes and upstreams have names of their own",
                    route.name
                ));
            }
        }
        for (index, route) in self.routes.iter().enumerate() {
            let way = route.way().map_err(|error| at(index, error))?;
            for (place, name) in way.targets().iter().enumerate() {
                if !names.contains(name.as_str()) {
                    let mut known: Vec<_> = names
                        .iter()
                        .copied()
                        .filter(|known| *known != route.name)
                        .collect();
                    known.sort_unstable();
                    let reason = no_such("upstream or route", name, &known);
                    let error = ConfigError::new(place.to_string(), reason);
                    return Err(at(index, error.within("targets").within(way.field())));
                }
            }
        }
        Ok(())
    }

    /// Why `route` could not be built of what was.
    fn endless(&self, route: &RouteConfig, built: &HashMap<&str, Target>) -> ConfigError {
        let field = route.way().map_or("fallback", Way::field);
        let mut way = vec![route.name.as_str()];
        let mut here = route;
        // From each that is not built to the first of its targets that is not: around the circle, if there is one.
        while let Some(next) = here
            .targets()
            .iter()
            .find(|name| !built.contains_key(name.as_str()))
            && let Some(route) = self.routes.iter().find(|route| route.name == *next)
        {
            way.push(next);
            if way.iter().filter(|name| *name == next).count() > 1 {
                let reason = format!("goes in a circle: {}", way.join(" → "));
                return ConfigError::new("targets", reason).within(field);
            }
            here = route;
        }
        let reason = format!("lies too deep: routes may lie within {MAX_DEPTH} others");
        ConfigError::new("targets", reason).within(field)
    }

    /// One route, of targets that are built.
    fn route(
        &self,
        route: &RouteConfig,
        built: &HashMap<&str, Target>,
        parts: &mut Parts<'_>,
    ) -> Result<Target, ConfigError> {
        no_empty_lists(route.models.as_deref(), route.endpoints.as_deref())?;
        let way = route.way()?;
        let within = |error: ConfigError| error.within(way.field());
        let members = self.members(way, built).map_err(within)?;
        let name = route.name.as_str();
        let target = match way {
            Way::Fallback(fallback) => {
                let chain = fallback
                    .clone()
                    .catalog(parts.catalog.clone())
                    .stats(parts.stats);
                let chain = chain.continuing(parts.before.fallbacks.get(name));
                let chain = chain.chain(&members).map_err(within)?;
                let fallbacks = &mut parts.layers.fallbacks;
                fallbacks.insert(name.to_owned(), chain.handle());
                let first = chain.get_ref().clone();
                Target::new(name, chain).like(&first)
            }
            Way::Split(split, rollout) => {
                let split = split.clone().stats(parts.stats).salt_unless_said(name);
                let split = split.continuing(parts.before.splits.get(name));
                let split = split.split(&members).map_err(within)?;
                let handle = split.handle();
                parts.layers.splits.insert(name.to_owned(), split.handle());
                let forced = parts.switches.forced(&members);
                if let Some(rollout) = rollout {
                    let within = |error: ConfigError| error.within("rollout");
                    rollout.check(members.len()).map_err(within)?;
                    if forced.is_none() {
                        self.roll_out(rollout, route, &handle, parts)
                            .map_err(within)?;
                    }
                } else {
                    // One that the configuration had before is not in charge any longer.
                    let handle = handle.clone();
                    parts.at_last(move || handle.detach());
                }
                if let Some(forced) = forced {
                    parts.at_last(move || switches::force(&handle, &forced));
                }
                let first = split.get_ref().clone();
                Target::new(name, split).like(&first)
            }
            Way::Balance(balance) => {
                let balance = balance
                    .clone()
                    .catalog(parts.catalog.clone())
                    .stats(parts.stats);
                let balance = balance.continuing(parts.before.balances.get(name));
                let balance = balance.balance(&members).map_err(within)?;
                let handles = &mut parts.layers.balances;
                handles.insert(name.to_owned(), balance.handle());
                let first = balance.get_ref().clone();
                Target::new(name, balance).like(&first)
            }
            Way::Hedge(hedge) => {
                let hedge = hedge.clone().stats(parts.stats);
                let hedge = hedge.continuing(parts.before.hedges.get(name));
                let hedge = hedge.hedge(&members).map_err(within)?;
                let handles = &mut parts.layers.hedges;
                handles.insert(name.to_owned(), hedge.handle());
                let first = hedge.get_ref().clone();
                Target::new(name, hedge).like(&first)
            }
        };
        Ok(described(target.over(members.iter()), route))
    }

    /// What moves the weights of a split: the same as before, where it goes the same way.
    fn roll_out(
        &self,
        rollout: &RolloutBuilder,
        route: &RouteConfig,
        split: &TrafficSplitHandle,
        parts: &mut Parts<'_>,
    ) -> Result<(), ConfigError> {
        let targets = route.targets().iter();
        let rollout = targets.fold(rollout.clone(), |rollout, name| {
            rollout.judged_by(name, self.first_upstream(name))
        });
        let rollout = match &parts.store {
            Some(store) if !rollout.has_file() => rollout.replicas(store, &route.name),
            _ => rollout,
        };
        let made_of = Rolling {
            rollout: rollout.clone(),
            steering: split.steering(),
            store: self.store.redis.clone(),
        };
        let build = || {
            let (rollout, worker) = rollout.build(split)?;
            Ok(((rollout, worker.shutdown_handle()), vec![worker]))
        };
        let earlier = parts.latest::<(Rollout, ShutdownHandle)>("rollout", &route.name);
        let (rollout, worker) = parts.keep("rollout", &route.name, made_of, build)?;
        if let Some((_, earlier)) = earlier
            && !earlier.is_of(&worker)
        {
            // Two do not write one file.
            parts.at_last(move || earlier.shutdown());
        }
        parts.layers.rollouts.insert(route.name.clone(), rollout);
        Ok(())
    }

    /// The targets of a route, in their order.
    fn members(
        &self,
        way: Way<'_>,
        built: &HashMap<&str, Target>,
    ) -> Result<Upstreams, ConfigError> {
        let mut members = Upstreams::builder();
        let mut names = HashSet::new();
        for name in way.targets() {
            // One that is named twice is for the layer to refuse.
            if let Some(target) = built.get(name.as_str()).filter(|_| names.insert(name)) {
                members = members.add(target.clone());
            }
        }
        let balances = |name: &str| {
            let mut routes = self.routes.iter();
            routes.any(|route| route.name == name && route.balance.is_some())
        };
        let reason = match (way, way.targets()) {
            (_, [_, _, ..]) => return members.build(),
            (Way::Hedge(_), [name]) if balances(name) => return members.build(),
            (Way::Hedge(_), _) => "must be at least two, or a single route that balances",
            _ => "must be at least two",
        };
        Err(ConfigError::new("targets", reason))
    }
}

/// What a rollout is made of.
struct Rolling {
    rollout: RolloutBuilder,
    steering: WeakSteering,
    /// Where replicas agree on it, if they do.
    store: Option<RedisBuilder>,
}

impl PartialEq for Rolling {
    fn eq(&self, other: &Self) -> bool {
        self.steering == other.steering
            && self.store == other.store
            && self.rollout.is_like(&other.rollout)
    }
}

/// With what the route says of itself.
fn described(mut target: Target, route: &RouteConfig) -> Target {
    if let Some(label) = &route.label {
        target = target.label(label);
    }
    if let Some(endpoints) = &route.endpoints {
        target = target.endpoints(endpoints.iter().copied());
    }
    if let Some(models) = &route.models {
        target = target.models(models.iter().cloned());
    }
    target
}

/// Says in which route a field is.
pub(super) fn at(index: usize, error: ConfigError) -> ConfigError {
    error.within(&index.to_string()).within("routes")
}

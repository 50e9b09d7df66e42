//! From the routes of a configuration to targets.

use std::collections::{HashMap, HashSet};

use super::{Config, RouteConfig, config::no_empty_lists};
use crate::{
    client::{Target, Upstreams, UpstreamsBuilder},
    message::{ConfigError, catalog::ModelCatalog},
    stats::Stats,
};

/// How deep routes may lie within routes: a request passes all of them.
const MAX_DEPTH: usize = 8;

impl Config {
    /// All that a request may be given to: the routes, which come first as they are the better choice, and the upstreams.
    pub(super) fn targets(
        &self,
        upstreams: &Upstreams,
        catalog: &ModelCatalog,
        stats: &Stats,
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
                    let target = target(route, &built, catalog, stats);
                    level.push((
                        route.name.as_str(),
                        target.map_err(|error| at(index, error))?,
                    ));
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
        upstreams
            .iter()
            .cloned()
            .fold(targets, UpstreamsBuilder::add)
            .build()
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
            let targets = route.fallback().map_err(|error| at(index, error))?;
            for (place, name) in targets.get_targets().iter().enumerate() {
                if !names.contains(name.as_str()) {
                    let mut known: Vec<_> = names
                        .iter()
                        .copied()
                        .filter(|known| *known != route.name)
                        .collect();
                    known.sort_unstable();
                    let reason = format!(
                        "there is no upstream or route {name:?}, but {}",
                        known.join(", ")
                    );
                    let error = ConfigError::new(place.to_string(), reason);
                    return Err(at(index, error.within("targets").within("fallback")));
                }
            }
        }
        Ok(())
    }

    /// Why `route` could not be built of what was.
    fn endless(&self, route: &RouteConfig, built: &HashMap<&str, Target>) -> ConfigError {
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
                return ConfigError::new("targets", reason).within("fallback");
            }
            here = route;
        }
        let reason = format!("lies too deep: routes may lie within {MAX_DEPTH} others");
        ConfigError::new("targets", reason).within("fallback")
    }
}

fn target(
    route: &RouteConfig,
    built: &HashMap<&str, Target>,
    catalog: &ModelCatalog,
    stats: &Stats,
) -> Result<Target, ConfigError> {
    no_empty_lists(route.models.as_deref(), route.endpoints.as_deref())?;
    let fallback = route.fallback()?;
    let within = |error: ConfigError| error.within("fallback");
    let mut members = Upstreams::builder();
    let mut names = HashSet::new();
    for name in route.targets() {
        // One that is named twice is for the layer to refuse.
        if let Some(target) = built.get(name.as_str()).filter(|_| names.insert(name)) {
            members = members.add(target.clone());
        }
    }
    let members = members
        .build()
        .map_err(|_| within(ConfigError::new("targets", "must be at least two")))?;
    let chain = fallback.clone().catalog(catalog.clone()).stats(stats);
    let chain = chain.chain(&members).map_err(within)?;

    let first = chain.get_ref().clone();
    let mut target = Target::new(route.name.as_str(), chain)
        .like(&first)
        .over(members.iter());
    if let Some(label) = &route.label {
        target = target.label(label);
    }
    if let Some(endpoints) = &route.endpoints {
        target = target.endpoints(endpoints.iter().copied());
    }
    if let Some(models) = &route.models {
        target = target.models(models.iter().cloned());
    }
    Ok(target)
}

/// Says in which route a field is.
fn at(index: usize, error: ConfigError) -> ConfigError {
    error.within(&index.to_string()).within("routes")
}

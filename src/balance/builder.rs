use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Balance, BalanceHandle, BalanceLayer, layer::Shared, member::Member, places::MAX_MEMBERS,
};
use crate::{
    client::{Target, Upstreams},
    key::{StickyBy, digest},
    message::{ConfigError, catalog::ModelCatalog},
    random::Random,
    stats::{Standing, Stats},
};

/// By what members are chosen. Deserializes from its name in lower case, with underscores.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Of two members picked at random, the one at which a first token takes less time, times the requests in flight.
    #[default]
    PeakEwma,
    /// The member with the fewest requests in flight.
    LeastInFlight,
    /// The member at which the request costs least, by the catalog's prices and the member's own name for the model. Of equals the
    /// better of two; those whose price is not known come last.
    Cheapest,
    /// By [weights](BalanceBuilder::weights), whatever the members do.
    Weighted,
}

/// How a [`BalanceLayer`] chooses among its members; also its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct BalanceBuilder {
    targets: Vec<String>,
    policy: Policy,
    weights: Vec<u32>,
    sticky: Option<StickyBy>,
    load_factor: f64,
    #[serde(deserialize_with = "crate::wire::units::duration")]
    decay: Duration,
    #[serde(deserialize_with = "crate::wire::units::duration")]
    ramp: Duration,
    #[serde(skip)]
    baseline: Option<String>,
    #[serde(skip)]
    stats: Option<Stats>,
    #[serde(skip)]
    catalog: Option<ModelCatalog>,
    #[serde(skip)]
    seed: Option<u64>,
    #[serde(skip)]
    before: Option<BalanceHandle>,
}

impl Default for BalanceBuilder {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            policy: Policy::default(),
            weights: Vec::new(),
            sticky: None,
            load_factor: 1.25,
            decay: Duration::from_secs(10),
            ramp: Duration::from_secs(10),
            baseline: None,
            stats: None,
            catalog: None,
            seed: None,
            before: None,
        }
    }
}

impl BalanceBuilder {
    /// The names of the members, to be found among the targets that the balancer is built of: all of these, unless it is said. In a
    /// [`balance`](Self::balance) the first is the baseline.
    pub fn targets<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.targets = names.into_iter().map(Into::into).collect();
        self
    }

    /// The names that were given.
    pub fn get_targets(&self) -> &[String] {
        &self.targets
    }

    /// By what members are chosen: [`Policy::PeakEwma`] by default.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What share of the requests each member gets, the baseline first, of which only the ratios count; for [`Policy::Weighted`] alone.
    pub fn weights(mut self, weights: impl IntoIterator<Item = u32>) -> Self {
        self.weights = weights.into_iter().collect();
        self
    }

    /// Keeps requests of one key at one member, where its prompt cache is warm, as long as that has room; those without a key are
    /// chosen for by the [policy](Self::policy). Off by default.
    pub fn sticky(mut self, by: StickyBy) -> Self {
        self.sticky = Some(by);
        self
    }

    /// How many requests in flight a member may have, as a multiple of its part of all, before keys go to others: 1.25 by default, 1 to
    /// 100. Near 1 the load is even, and keys move often.
    pub fn load_factor(mut self, factor: f64) -> Self {
        self.load_factor = factor;
        self
    }

    /// How long a time to first token is remembered: the time constant of the average, 10 s by default. After about two and a half of
    /// them one that was ten times slower is tried again.
    pub fn decay(mut self, decay: Duration) -> Self {
        self.decay = decay;
        self
    }

    /// How long a member that comes back takes until its share is whole, from a tenth: 10 s by default. Zero for at once.
    pub fn ramp(mut self, ramp: Duration) -> Self {
        self.ramp = ramp;
        self
    }

    /// The baseline's name in a [`build`](Self::build), where the baseline is no target: `baseline` by default.
    pub fn baseline(mut self, name: impl Into<String>) -> Self {
        self.baseline = Some(name.into());
        self
    }

    /// Where the breakers of the members publish whether they are available. Without it all are taken to be.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = Some(stats.clone());
        self
    }

    /// What models cost, for [`Policy::Cheapest`]: [`ModelCatalog::builtin`] by default.
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Makes the same choices again, for tests. A random seed by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Goes on from where another balancer is: what its members of the same name have in flight, and what is known of them. Others
    /// start slowly.
    pub fn continuing(mut self, before: Option<&BalanceHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// The settings, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let mut settings = vec![match self.policy {
            Policy::PeakEwma => "by time to first token and load".to_owned(),
            Policy::LeastInFlight => "by requests in flight".to_owned(),
            Policy::Cheapest => "the cheapest first".to_owned(),
            Policy::Weighted => {
                let weights: Vec<_> = self.weights.iter().map(u32::to_string).collect();
                format!("by weights {}", weights.join(":"))
            }
        }];
        if self.sticky.is_some() {
            settings.push(format!("sticky up to {} of the load", self.load_factor));
        }
        settings
    }

    /// The layer over a baseline, which may be any service, with other members.
    ///
    /// # Errors
    ///
    /// When a member is named that is not there, or twice; when there are more than 64; when weights are there for another policy, or
    /// are missing, not one for each member, or all zero; when the load factor or the decay is out of range.
    pub fn build(self, others: &Upstreams) -> Result<BalanceLayer, ConfigError> {
        let others = others.select(&self.targets)?;
        let name = self.baseline.clone();
        let name = name.unwrap_or_else(|| "baseline".to_owned());
        let members = std::iter::once((name.into(), None));
        let others = others.into_iter().map(named);
        Ok(BalanceLayer::of(self.shared(members.chain(others))?))
    }

    /// The service over targets alone, the first of which is the baseline. It can be a [`Target`] itself.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn balance(self, targets: &Upstreams) -> Result<Balance<Target>, ConfigError> {
        let chosen = targets.select(&self.targets)?;
        let Some(baseline) = chosen.first().cloned() else {
            return Err(ConfigError::new("targets", "must be at least one"));
        };
        let shared = self.shared(chosen.into_iter().map(named))?;
        Ok(Balance::new(baseline, Arc::new(shared)))
    }

    fn shared(
        self,
        members: impl Iterator<Item = (Arc<str>, Option<Target>)>,
    ) -> Result<Shared, ConfigError> {
        let now = Instant::now();
        let wrong = |field: &'static str, reason: String| Err(ConfigError::new(field, reason));
        let mut all: Vec<Member> = Vec::new();
        for (name, target) in members {
            if all.iter().any(|other| other.name == name) {
                return wrong("targets", format!("{name:?} is there twice"));
            }
            let mut member = Member::new(Arc::clone(&name), target, digest(name.as_bytes()), now);
            member.header = HeaderValue::from_str(&name).ok();
            if member.header.is_none() {
                return wrong("targets", format!("{name:?} cannot stand in a header"));
            }
            if let Some(stats) = self.stats.as_ref().filter(|_| member.target.is_some()) {
                member.standing = Standing::new(Some(stats.availability(&name)), now);
            }
            if let Some(before) = &self.before {
                let mut members = before.members().iter();
                member.continuing(members.find(|other| other.name == name), now);
            }
            all.push(member);
        }
        if all.len() > MAX_MEMBERS {
            return wrong("targets", format!("must be at most {MAX_MEMBERS}"));
        }
        if self.policy == Policy::Weighted {
            if self.weights.len() != all.len() {
                return wrong(
                    "weights",
                    format!("must be {}, one for each target", all.len()),
                );
            }
            if self.weights.iter().all(|weight| *weight == 0) {
                return wrong("weights", "must not all be zero".to_owned());
            }
            for (member, weight) in all.iter_mut().zip(&self.weights) {
                member.weight = *weight;
            }
        } else if !self.weights.is_empty() {
            let reason = "count for the policy \"weighted\" alone";
            return wrong("weights", reason.to_owned());
        }
        if !(1.0..=100.0).contains(&self.load_factor) {
            return wrong("load_factor", "must be from 1 to 100".to_owned());
        }
        if self.decay.is_zero() {
            return wrong("decay", "must be more than zero".to_owned());
        }
        let names_models = |member: &Member| {
            let target = member.target.as_ref();
            target.is_some_and(Target::names_models)
        };
        Ok(Shared {
            names_models: all.iter().any(names_models),
            members: all,
            policy: self.policy,
            sticky: self.sticky,
            load_factor: self.load_factor,
            decay: self.decay,
            ramp: self.ramp,
            catalog: self.catalog.unwrap_or_default(),
            random: self.seed.map_or_else(Random::from_entropy, Random::seeded),
        })
    }
}

fn named(target: Target) -> (Arc<str>, Option<Target>) {
    (Arc::clone(target.name()), Some(target))
}

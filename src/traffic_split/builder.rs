use std::{fmt, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{HeaderValue, Request};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    TrafficSplit, TrafficSplitHandle, TrafficSplitLayer,
    layer::{Eligible, Member, Shared, Steering},
    state::Weights,
};
use crate::{
    client::{Target, Upstreams},
    key::{StickyBy, digest},
    message::{ConfigError, Effects, RequestBody},
    random::Random,
    stats::{Standing, Stats},
};

/// The most targets of a split.
const MAX_TARGETS: usize = 64;

/// How a [`TrafficSplitLayer`] splits requests; also its configuration.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct TrafficSplitBuilder {
    targets: Vec<String>,
    weights: Vec<u32>,
    sticky: StickyBy,
    salt: String,
    allow_override: bool,
    spread_unavailable: bool,
    #[serde(skip)]
    baseline: Option<String>,
    #[serde(skip)]
    eligible: Option<Eligible>,
    #[serde(skip)]
    stats: Option<Stats>,
    #[serde(skip)]
    before: Option<TrafficSplitHandle>,
}

impl Default for TrafficSplitBuilder {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            weights: Vec::new(),
            sticky: StickyBy::default(),
            salt: String::new(),
            allow_override: false,
            spread_unavailable: true,
            baseline: None,
            eligible: None,
            stats: None,
            before: None,
        }
    }
}

impl TrafficSplitBuilder {
    /// The names of the targets, to be found among those that the split is built of: all of these, unless it is said. In a
    /// [`split`](Self::split) the first is the baseline.
    pub fn targets<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.targets = names.into_iter().map(Into::into).collect();
        self
    }

    /// The names that were given.
    pub fn get_targets(&self) -> &[String] {
        &self.targets
    }

    /// What share of the requests each target gets, in the order of the targets, the baseline first: 0 to 1,000,000, of which only the
    /// ratios count. All for the baseline, unless it is said.
    pub fn weights(mut self, weights: impl IntoIterator<Item = u32>) -> Self {
        self.weights = weights.into_iter().collect();
        self
    }

    /// What keeps requests together: [`StickyBy::request_id`] by default.
    pub fn sticky(mut self, by: StickyBy) -> Self {
        self.sticky = by;
        self
    }

    /// A name of this split. Two splits of one salt that share target names divide the same keys the same way; other salts make splits
    /// independent of each other, as one within another should be. Empty by default.
    pub fn salt(mut self, salt: impl Into<String>) -> Self {
        self.salt = salt.into();
        self
    }

    /// Whether a caller may name the target in [`x-relay-upstream`](super::X_RELAY_UPSTREAM), also of a stateful request. Off by default.
    pub fn allow_override(mut self, allow: bool) -> Self {
        self.allow_override = allow;
        self
    }

    /// Whether the requests of a target that is said to be [unavailable](crate::stats::Availability) go to the others. On by default, where
    /// the split is told of it by [`stats`](Self::stats).
    pub fn spread_unavailable(mut self, spread: bool) -> Self {
        self.spread_unavailable = spread;
        self
    }

    /// The baseline's name in a [`build`](Self::build), where the baseline is no target: `baseline` by default.
    pub fn baseline(mut self, name: impl Into<String>) -> Self {
        self.baseline = Some(name.into());
        self
    }

    /// Which requests may leave the baseline. Those that are not stateless calls of an LLM endpoint never do.
    pub fn eligible(
        mut self,
        may_leave: impl Fn(&Request<RequestBody>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.eligible = Some(Arc::new(may_leave));
        self
    }

    /// Only what reads may leave the baseline: safe methods, and inference that nothing is kept of. What is stored, files, batches and
    /// fine-tuning stay (the read-only mode of guide A).
    pub fn read_only(self) -> Self {
        self.eligible(|request| {
            request.method().is_safe() || Effects::of(request) == Effects::Generate
        })
    }

    /// Where the breakers of the targets publish whether they are available.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = Some(stats.clone());
        self
    }

    /// With this salt where none was given.
    #[cfg(feature = "gateway")]
    pub(crate) fn salt_unless_said(self, salt: &str) -> Self {
        if self.salt.is_empty() {
            return self.salt(salt);
        }
        self
    }

    /// The targets, with their weights unless a rollout sets them, and the settings that differ from the defaults, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self, is_rolled_out: bool) -> Vec<String> {
        let weighed = self.targets.iter().enumerate();
        let weighed = weighed.map(|(place, name)| {
            if is_rolled_out {
                name.clone()
            } else {
                format!("{name} {}", self.weight(place))
            }
        });
        let mut settings: Vec<_> = weighed.collect();
        if self.allow_override {
            settings.push("callers may choose".to_owned());
        }
        if !self.spread_unavailable {
            settings.push("also when unavailable".to_owned());
        }
        settings
    }

    #[cfg(feature = "gateway")]
    fn weight(&self, place: usize) -> u32 {
        let unsaid = u32::from(place == 0);
        self.weights.get(place).copied().unwrap_or(unsaid)
    }

    /// Goes on with the counts of another split, and with its weights, whoever has moved them, where targets and weights are those that it
    /// was made with.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(mut self, before: Option<&TrafficSplitHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// The layer over a baseline, which may be any service, with other targets.
    ///
    /// # Errors
    ///
    /// When weights are not one for each target and the baseline, one is too large or all are zero; when a target is named that is
    /// not there, or twice; when there are more than 64.
    pub fn build(self, others: &Upstreams) -> Result<TrafficSplitLayer, ConfigError> {
        let others = others.select(&self.targets)?;
        let name = self
            .baseline
            .clone()
            .unwrap_or_else(|| "baseline".to_owned());
        let shared = self.shared(Member::service(name.into()), others)?;
        Ok(TrafficSplitLayer::of(shared))
    }

    /// The service over targets alone, the first of which is the baseline. It can be a [`Target`] itself.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn split(self, targets: &Upstreams) -> Result<TrafficSplit<Target>, ConfigError> {
        let mut chosen = targets.select(&self.targets)?.into_iter();
        let Some(baseline) = chosen.next() else {
            return Err(ConfigError::new("targets", "must be at least one"));
        };
        let shared = self.shared(Member::target(baseline.clone()), chosen.collect())?;
        Ok(TrafficSplit::new(baseline, Arc::new(shared)))
    }

    fn shared(self, baseline: Member, others: Vec<Target>) -> Result<Shared, ConfigError> {
        let mut members = vec![baseline];
        members.extend(others.into_iter().map(Member::target));
        let wrong = |reason: String| Err(ConfigError::new("targets", reason));
        if members.len() > MAX_TARGETS {
            return wrong(format!("must be at most {MAX_TARGETS}"));
        }
        for (place, member) in members.iter_mut().enumerate() {
            member.header = HeaderValue::from_str(&member.name).ok();
            if member.header.is_none() {
                return wrong(format!("{:?} cannot stand in a header", member.name));
            }
            if let Some(stats) = &self.stats
                && self.spread_unavailable
                && (place > 0 || member.target.is_some())
            {
                let cell = stats.availability(&member.name);
                member.standing = Standing::new(Some(cell), Instant::now());
            }
        }
        let named_twice = |member: &Member| {
            let same = members.iter().filter(|other| other.name == member.name);
            same.count() > 1
        };
        if let Some(member) = members.iter().find(|member| named_twice(member)) {
            return wrong(format!("{:?} is there twice", member.name));
        }
        let mut weights = self.weights;
        if weights.is_empty() {
            weights = vec![0; members.len()];
            if let Some(baseline) = weights.first_mut() {
                *baseline = 1;
            }
        }
        let weights = Weights::new(&weights, members.len())?;
        let names: Box<[_]> = members.iter().map(|one| Arc::clone(&one.name)).collect();
        let before = self.before.as_ref().map(TrafficSplitHandle::shared);
        for member in &mut members {
            let mut earlier = before.iter().flat_map(|before| &before.members);
            if let Some(earlier) = earlier.find(|earlier| earlier.name == member.name) {
                member.count = Arc::clone(&earlier.count);
            }
        }
        let steering = before.map(|before| &before.steering);
        let steering = steering.filter(|of| of.names == names && of.set == weights);
        let own = || {
            Arc::new(Steering {
                names: names.clone(),
                set: weights.clone(),
                weights: ArcSwap::from_pointee(weights.clone()),
                rollout: ArcSwapOption::empty(),
            })
        };
        let steering = steering.map_or_else(own, Arc::clone);
        let seeds = members
            .iter()
            .map(|member| digest(format!("{}\0{}", self.salt, member.name).as_bytes()))
            .collect();
        Ok(Shared {
            members,
            seeds,
            steering,
            sticky: self.sticky,
            allow_override: self.allow_override,
            eligible: self.eligible,
            random: Random::from_entropy(),
        })
    }
}

impl fmt::Debug for TrafficSplitBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficSplitBuilder")
            .field("targets", &self.targets)
            .field("weights", &self.weights)
            .field("sticky", &self.sticky)
            .field("salt", &self.salt)
            .field("allow_override", &self.allow_override)
            .field("spread_unavailable", &self.spread_unavailable)
            .finish_non_exhaustive()
    }
}

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use super::{
    Hedge, HedgeHandle, HedgeLayer,
    layer::{Other, Shared},
    state::Patience,
};
use crate::{
    client::{Target, Upstreams},
    message::{ConfigError, HeldCap},
    reserve::RetryBudget,
    stats::{Standing, Stats},
    wire::units,
};

/// When a [`HedgeLayer`] makes a second attempt; also its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct HedgeBuilder {
    targets: Vec<String>,
    #[serde(deserialize_with = "optional")]
    delay: Option<Duration>,
    percentile: f64,
    #[serde(deserialize_with = "units::duration")]
    floor: Duration,
    #[serde(deserialize_with = "units::duration")]
    ceiling: Duration,
    min_samples: u64,
    #[serde(deserialize_with = "units::duration")]
    window: Duration,
    max_hedges: usize,
    #[serde(deserialize_with = "units::bytes")]
    max_held: u64,
    attempts: u32,
    budget_percent: u32,
    budget_burst: u32,
    #[serde(skip)]
    budget: Option<RetryBudget>,
    #[serde(skip)]
    primary: Option<String>,
    #[serde(skip)]
    stats: Option<Stats>,
    #[serde(skip)]
    before: Option<HedgeHandle>,
}

impl Default for HedgeBuilder {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            delay: None,
            percentile: 95.0,
            floor: Duration::from_millis(50),
            ceiling: Duration::from_secs(30),
            min_samples: 50,
            window: Duration::from_secs(5 * 60),
            max_hedges: 100,
            max_held: 256 << 20,
            attempts: 4,
            budget_percent: 5,
            budget_burst: 10,
            budget: None,
            primary: None,
            stats: None,
            before: None,
        }
    }
}

impl HedgeBuilder {
    /// The names of the targets, to be found among those that the hedge is built of: all of these, unless it is said. In a
    /// [`hedge`](Self::hedge) the first is the primary. A second attempt goes to the first of the others that can take it.
    pub fn targets<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.targets = names.into_iter().map(Into::into).collect();
        self
    }

    /// The names that were given.
    pub fn get_targets(&self) -> &[String] {
        &self.targets
    }

    /// Waits this long for a first output, in place of a percentile.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Waits as long as this percentage of the requests for the model take at most: 95 by default, 50 to 99.9. The others, one in twenty,
    /// are what it takes to bring in the tail.
    pub fn percentile(mut self, percent: f64) -> Self {
        self.percentile = percent;
        self
    }

    /// The least that is waited by percentile: 50 ms by default.
    pub fn floor(mut self, floor: Duration) -> Self {
        self.floor = floor;
        self
    }

    /// The most that is waited by percentile, and what is waited while fewer than [`min_samples`](Self::min_samples) are known: 30 s by
    /// default.
    pub fn ceiling(mut self, ceiling: Duration) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// How many requests for a model a percentile takes: 50 by default.
    pub fn min_samples(mut self, samples: u64) -> Self {
        self.min_samples = samples;
        self
    }

    /// How far back percentiles look: 5 minutes by default.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many second attempts may race a first at a time: 100 by default.
    pub fn max_hedges(mut self, hedges: usize) -> Self {
        self.max_hedges = hedges;
        self
    }

    /// The most bytes of answers without any output yet that are held, all together; past it they are handed on as they are: 256 MiB by
    /// default.
    pub fn max_held(mut self, bytes: u64) -> Self {
        self.max_held = bytes;
        self
    }

    /// The most attempts of a request at all targets together, retries within them included: 4 by default. Only where no layer further
    /// out has set an [`AttemptLimit`](crate::reserve::AttemptLimit).
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// A budget of its own, for this share of the requests, in percent, and so many at once beyond that.
    pub fn budget_of(mut self, percent: u32, burst: u32) -> Self {
        (self.budget_percent, self.budget_burst) = (percent, burst);
        self
    }

    /// What bounds second attempts: one of its own for 5 % of the requests, and 10 at once beyond that, by default. Share that of the
    /// retries, and both together stay within it.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The primary's name in a [`build`](Self::build), where the primary is no target: `primary` by default.
    pub fn primary(mut self, name: impl Into<String>) -> Self {
        self.primary = Some(name.into());
        self
    }

    /// Where the breakers of the targets publish whether they are available: a second attempt goes to none that is not.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = Some(stats.clone());
        self
    }

    /// Goes on from where another hedge is: switched on or off, paid for and counted as there, with what it knows of the time to first
    /// output, and with a delay that was [set](HedgeHandle::set_delay) where the settings of the delay are the same. A budget or a window of other
    /// settings begins anew.
    pub fn continuing(mut self, before: Option<&HedgeHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// The settings, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let after = match self.delay {
            Some(delay) => format!("after {delay:?}"),
            None => format!("after the {}th percentile", self.percentile),
        };
        vec![
            after,
            format!("for {} % of the requests", self.budget_percent),
        ]
    }

    /// The layer over a primary, which may be any service, with `others` for second attempts.
    ///
    /// # Errors
    ///
    /// When a target is named that is not among the others, or twice; when a bound is zero or out of range.
    pub fn build(self, others: &Upstreams) -> Result<HedgeLayer, ConfigError> {
        let others = others.select(&self.targets)?;
        let name = self.primary.clone();
        let name = name.unwrap_or_else(|| "primary".to_owned());
        Ok(HedgeLayer::of(self.shared(name.into(), others)?))
    }

    /// The service over targets alone, the first of which is the primary. It can be a [`Target`] itself.
    ///
    /// With one target both attempts go to it: for one that chooses an upstream by itself, such as a
    /// [balancer](crate::balance), which then chooses another.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn hedge(self, targets: &Upstreams) -> Result<Hedge<Target>, ConfigError> {
        let mut targets = targets.select(&self.targets)?;
        let Some(primary) = targets.first().cloned() else {
            return Err(ConfigError::new("targets", "must be at least one"));
        };
        if targets.len() > 1 {
            targets.remove(0);
        }
        let shared = self.shared(Arc::clone(primary.name()), targets)?;
        Ok(Hedge::new(primary, Arc::new(shared)))
    }

    fn shared(self, name: Arc<str>, others: Vec<Target>) -> Result<Shared, ConfigError> {
        let wrong =
            |field: &'static str, reason: &'static str| Err(ConfigError::new(field, reason));
        let bounds = [
            ("ceiling", self.ceiling.is_zero()),
            ("window", self.window.is_zero()),
            ("min_samples", self.min_samples == 0),
            ("max_hedges", self.max_hedges == 0),
            ("max_held", self.max_held == 0),
        ];
        if let Some((field, _)) = bounds.into_iter().find(|(_, is_zero)| *is_zero) {
            return wrong(field, "must be more than zero");
        }
        if self.attempts < 2 {
            return wrong(
                "attempts",
                "must be at least 2, or there is none to hedge with",
            );
        }
        if !(50.0..=99.9).contains(&self.percentile) {
            return wrong("percentile", "must be from 50 to 99.9");
        }
        if self.floor > self.ceiling {
            return wrong("floor", "must be at most the ceiling");
        }
        let patience = match self.delay {
            Some(delay) => Patience::Fixed(delay),
            None => Patience::Quantile {
                share: self.percentile / 100.0,
                floor: self.floor,
                ceiling: self.ceiling,
                min_samples: self.min_samples,
            },
        };
        let before = self.before.as_ref().map(HedgeHandle::shared);
        let own_budget = (self.budget_percent, self.budget_burst);
        let own_budget = self.budget.is_none().then_some(own_budget);
        // What another has, as long as it is still what is asked for.
        let kept = before.filter(|before| before.own_budget == own_budget);
        let budget = match (self.budget, kept) {
            (Some(budget), _) => budget,
            (None, Some(before)) => before.budget.clone(),
            (None, None) => RetryBudget::new(self.budget_percent, self.budget_burst),
        };
        let spans = match before.filter(|before| before.window == self.window) {
            Some(before) => before.spans.clone(),
            None => Stats::new(self.window, Stats::MAX_SERIES),
        };
        let record = before.map_or_else(Arc::default, |before| Arc::clone(&before.record));
        let steered = before.filter(|before| before.patience == patience);
        let steered = steered.map_or_else(Arc::default, |before| Arc::clone(&before.steered));
        let now = Instant::now();
        let header = |name: &str| HeaderValue::from_str(name).ok();
        let other = |target: Target| {
            let cell = self.stats.as_ref();
            let cell = cell.map(|stats| stats.availability(target.name()));
            Other {
                header: header(target.name()),
                standing: Standing::new(cell, now),
                target,
            }
        };
        Ok(Shared {
            patience,
            steered,
            attempts: self.attempts,
            max_hedges: self.max_hedges,
            held: HeldCap::new(self.max_held),
            others: others.into_iter().map(other).collect(),
            budget,
            own_budget,
            spans,
            window: self.window,
            record,
            header: header(&name),
            name,
        })
    }
}

fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    units::duration(deserializer).map(Some)
}

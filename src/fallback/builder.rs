use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Fallback, FallbackHandle, FallbackLayer,
    layer::Shared,
    queue::{MAX_WAIT, Queue},
    state::{Opinion, Policy},
    sticky::{MAX_TARGETS, Sticky},
};
use crate::{
    client::{Target, Upstreams},
    message::{Classify, ConfigError, FallBack, Ours, Outcome, catalog::ModelCatalog},
    reserve::RetryBudget,
    stats::Stats,
    wire::units,
};

/// How a [`FallbackLayer`] goes on to other targets; also its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct FallbackBuilder {
    targets: Vec<String>,
    attempts: u32,
    #[serde(deserialize_with = "units::duration")]
    deadline: Duration,
    content_filtered: bool,
    #[serde(deserialize_with = "units::duration")]
    sticky: Duration,
    #[serde(deserialize_with = "units::duration")]
    wait: Duration,
    max_waiting: usize,
    budget_percent: Option<u32>,
    budget_burst: u32,
    #[serde(skip)]
    budget: Option<RetryBudget>,
    #[serde(skip)]
    policy: Opinion,
    #[serde(skip)]
    classify: Ours,
    #[serde(skip)]
    catalog: Option<ModelCatalog>,
    #[serde(skip)]
    stats: Option<Stats>,
    #[serde(skip)]
    before: Option<FallbackHandle>,
}

impl Default for FallbackBuilder {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            attempts: 6,
            deadline: Duration::from_secs(30 * 60),
            content_filtered: false,
            sticky: Duration::ZERO,
            wait: Duration::ZERO,
            max_waiting: 1000,
            budget_percent: None,
            budget_burst: 100,
            budget: None,
            policy: Opinion::default(),
            classify: Ours::default(),
            catalog: None,
            stats: None,
            before: None,
        }
    }
}

impl FallbackBuilder {
    /// Guide E's: a queue with a timeout of 30 s for when every target is open.
    pub fn guide_e() -> Self {
        Self::default().wait(MAX_WAIT)
    }

    /// The names of the targets in their order, to be found among those that the chain is built of: all of these, unless it is said.
    pub fn targets<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.targets = names.into_iter().map(Into::into).collect();
        self
    }

    /// The names that were given.
    pub fn get_targets(&self) -> &[String] {
        &self.targets
    }

    /// The most attempts of a request at all targets together, retries within them included: 6 by default. Only where no layer
    /// further out has set an [`AttemptLimit`](crate::reserve::AttemptLimit).
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long a request may take at all targets together, to the last byte of its answer: 30 minutes by default. Only for LLM
    /// endpoints, and only where no layer further out has set a [`Deadline`](crate::message::Deadline).
    pub fn deadline(mut self, within: Duration) -> Self {
        self.deadline = within;
        self
    }

    /// Whether content that one target refuses is sent to the next. Off by default.
    pub fn content_filtered(mut self, go_on: bool) -> Self {
        self.content_filtered = go_on;
        self
    }

    /// An opinion of one's own on which outcomes go on: [`Outcome::falls_back`] by default.
    pub fn policy(mut self, policy: impl Fn(Outcome) -> FallBack + Send + Sync + 'static) -> Self {
        self.policy = Opinion::new(policy);
        self
    }

    /// An opinion of one's own on what errors mean, for those that no layer further in has decided on, as a
    /// [circuit breaker](crate::circuit_breaker::CircuitBreakerBuilder::classify) has.
    pub fn classify(mut self, classify: impl Classify + 'static) -> Self {
        self.classify = Ours::new(classify);
        self
    }

    /// For how long a target that took over for one that failed is asked first, by all requests; then the primary is asked again.
    /// Zero, the default, for each request by itself.
    pub fn sticky(mut self, over: Duration) -> Self {
        self.sticky = over;
        self
    }

    /// How long a request waits, when the circuit breaker of every target is open, for the first that admits it: at most 30 s, and never beyond
    /// its deadline. Zero, the default, for not at all.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How many requests may wait at a time: 1000 by default.
    pub fn max_waiting(mut self, waiting: usize) -> Self {
        self.max_waiting = waiting;
        self
    }

    /// What bounds the attempts at other targets. Nothing by default: in an outage every request is to reach its backup.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// What is known of models' windows: [`ModelCatalog::builtin`] by default.
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Where the breakers of the targets publish their [`Availability`](crate::stats::Availability), so that those who wait hear of it at once.
    /// Without it they ask again when the breakers advised to.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = Some(stats.clone());
        self
    }

    /// Goes on from where another layer is: switched on or off, counted, paid for, and begun with whom as there.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(mut self, before: Option<&FallbackHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// The settings that differ from the defaults, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let mut settings = Vec::new();
        if self.content_filtered {
            settings.push("with refused content too".to_owned());
        }
        if !self.sticky.is_zero() {
            settings.push(format!("sticky for {:?}", self.sticky));
        }
        if !self.wait.is_zero() {
            settings.push(format!("waits up to {:?}", self.wait));
        }
        if let Some(percent) = self.budget_percent {
            settings.push(format!("for {percent} % of the requests"));
        }
        settings
    }

    /// The layer over a primary, which may be any service, with `backups` in their order.
    ///
    /// # Errors
    ///
    /// When there is no attempt or no time to make, a wait is longer than 30 s, nobody may wait, or a target is named that is not among
    /// the backups, or is named twice.
    pub fn build(self, backups: &Upstreams) -> Result<FallbackLayer, ConfigError> {
        let backups = backups.select(&self.targets)?;
        self.layer(None, backups)
    }

    /// The service over a whole chain: the first target is the primary, the others are its backups. It can be a
    /// [`Target`] itself.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and when there are no two targets.
    pub fn chain(self, targets: &Upstreams) -> Result<Fallback<Target>, ConfigError> {
        let mut targets = targets.select(&self.targets)?.into_iter();
        match (targets.next(), targets.len()) {
            (Some(primary), 1..) => {
                let layer = self.layer(Some(primary.clone()), targets.collect())?;
                Ok(Fallback::new(primary, layer.into_shared()))
            }
            _ => Err(ConfigError::new("targets", "must be at least two")),
        }
    }

    fn layer(
        self,
        primary: Option<Target>,
        backups: Vec<Target>,
    ) -> Result<FallbackLayer, ConfigError> {
        if backups.len() >= MAX_TARGETS {
            let reason = format!("must be fewer than {MAX_TARGETS}");
            return Err(ConfigError::new("targets", reason));
        }
        if self.attempts == 0 {
            return Err(ConfigError::new("attempts", "must be at least 1"));
        }
        if self.deadline.is_zero() {
            return Err(ConfigError::new("deadline", "must be more than zero"));
        }
        if self.wait > MAX_WAIT {
            return Err(ConfigError::new("wait", "must be at most 30s"));
        }
        if self.max_waiting == 0 {
            let reason = "must be at least 1: a wait of zero turns waiting off";
            return Err(ConfigError::new("max_waiting", reason));
        }
        let before = self.before.as_ref().map(FallbackHandle::shared);
        let budget = self.budget.or_else(|| {
            let (percent, burst) = (self.budget_percent?, self.budget_burst);
            let earlier = before.and_then(|before| before.budget.clone());
            let earlier = earlier.filter(|budget| budget.is_of(percent, burst));
            Some(earlier.unwrap_or_else(|| RetryBudget::new(percent, burst)))
        });
        // Places mean something only where the targets are the same.
        let sticky = before.filter(|before| {
            let names = primary.iter().chain(&backups).map(Target::name);
            before.sticky.over() == self.sticky && before.names().eq(names)
        });
        let sticky = sticky.map(|before| Arc::clone(&before.sticky));
        let queue = before.map(|before| Arc::clone(&before.queue));
        let bounds = (self.wait, self.max_waiting);
        let queue = queue.filter(|queue| (queue.wait, queue.max_waiting) == bounds);
        let stats = self.stats.filter(|_| !self.wait.is_zero());
        let cells = stats.map_or_else(Vec::new, |stats| {
            let targets = primary.iter().chain(&backups);
            targets
                .map(|target| stats.availability(target.name()))
                .collect()
        });
        let policy = Policy {
            content_filtered: self.content_filtered,
            ours: self.policy,
        };
        Ok(FallbackLayer::of(Shared {
            enabled: before.map_or_else(
                || Arc::new(true.into()),
                |before| Arc::clone(&before.enabled),
            ),
            attempts: self.attempts,
            deadline: self.deadline,
            policy,
            classify: self.classify,
            catalog: self.catalog.unwrap_or_default(),
            budget,
            sticky: sticky.unwrap_or_else(|| Arc::new(Sticky::new(self.sticky, Instant::now()))),
            queue: queue.unwrap_or_else(|| Arc::new(Queue::new(bounds.0, bounds.1))),
            cells,
            counters: before.map_or_else(Arc::default, |before| Arc::clone(&before.counters)),
            primary,
            backups,
        }))
    }
}

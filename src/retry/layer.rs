use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use tower_layer::Layer;

use super::{Backoff, Retry, state::Policy};
use crate::{
    message::{Classify, ConfigError, Ours},
    random::Random,
    reserve::RetryBudget,
    wire::units,
};

/// Sends a request again that failed in a way that time heals.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct RetryLayer {
    shared: Arc<Shared>,
}

/// How a [`RetryLayer`] tries again; also its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct RetryBuilder {
    attempts: u32,
    backoff: Backoff,
    transport_backoff: Option<Backoff>,
    #[serde(deserialize_with = "units::duration")]
    max_retry_after: Duration,
    #[serde(deserialize_with = "units::duration")]
    max_retry_after_elsewhere: Duration,
    #[serde(deserialize_with = "units::duration")]
    deadline: Duration,
    transport: Option<bool>,
    budget_percent: u32,
    budget_burst: u32,
    #[serde(skip)]
    budget: Option<RetryBudget>,
    #[serde(skip)]
    classify: Ours,
    #[serde(skip)]
    seed: Option<u64>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) policy: Policy,
    pub(super) deadline: Duration,
    pub(super) budget: RetryBudget,
    pub(super) classify: Ours,
    pub(super) random: Random,
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::of(RetryBuilder::default())
    }
}

impl RetryLayer {
    /// Settings to choose before [`build`](RetryBuilder::build).
    pub fn builder() -> RetryBuilder {
        RetryBuilder::default()
    }

    /// The budget that this layer's extra attempts draw on, to share with others or to look at.
    pub fn budget(&self) -> &RetryBudget {
        &self.shared.budget
    }

    #[cfg(test)]
    pub(super) fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    fn of(builder: RetryBuilder) -> Self {
        let budget = builder
            .budget
            .unwrap_or_else(|| RetryBudget::new(builder.budget_percent, builder.budget_burst));
        let policy = Policy {
            attempts: builder.attempts,
            backoff: builder.backoff,
            transport_backoff: builder.transport_backoff.unwrap_or(builder.backoff),
            max_retry_after: builder.max_retry_after,
            max_retry_after_elsewhere: builder.max_retry_after_elsewhere,
            transport: builder.transport,
        };
        let shared = Shared {
            policy,
            deadline: builder.deadline,
            budget,
            classify: builder.classify,
            random: builder
                .seed
                .map_or_else(Random::from_entropy, Random::seeded),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Default for RetryBuilder {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff::default(),
            transport_backoff: None,
            max_retry_after: Duration::from_secs(60),
            max_retry_after_elsewhere: Duration::from_secs(1),
            deadline: Duration::from_secs(30 * 60),
            transport: None,
            budget_percent: 20,
            budget_burst: 100,
            budget: None,
            classify: Ours::default(),
            seed: None,
        }
    }
}

impl RetryBuilder {
    /// The most attempts, the first among them: 3 by default. An [`AttemptLimit`](crate::reserve::AttemptLimit) of the request may allow
    /// fewer.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The waits between attempts: by default exponential from 0.5 s to 30 s, with full jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Other waits after a connection that failed. The same by default.
    pub fn transport_backoff(mut self, backoff: Backoff) -> Self {
        self.transport_backoff = Some(backoff);
        self
    }

    /// The longest `retry-after` that is waited for: 60 s by default. Past it the answer is handed on at once.
    pub fn max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// The longest `retry-after` that is waited for where a layer further out has set an attempt
    /// [aside](crate::reserve::AttemptLimit::set_aside) to make it elsewhere, as a fallback does: 1 s by default. Past it the request goes
    /// there instead.
    pub fn max_retry_after_elsewhere(mut self, wait: Duration) -> Self {
        self.max_retry_after_elsewhere = wait;
        self
    }

    /// How long all attempts together may take, to the last byte of the answer: 30 minutes by default. Only for LLM endpoints, and only
    /// where no outer layer has set a [`Deadline`](crate::message::Deadline).
    pub fn deadline(mut self, within: Duration) -> Self {
        self.deadline = within;
        self
    }

    /// Whether connections that failed are tried again. By default they are, unless a layer further out has set an attempt
    /// [aside](crate::reserve::AttemptLimit::set_aside) to make it elsewhere, as a fallback does: that is reached sooner.
    pub fn transport(mut self, retried: bool) -> Self {
        self.transport = Some(retried);
        self
    }

    /// What bounds extra attempts: by default a budget of this layer's own of 20 % of the requests and 100 at once.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Draws on a budget that is drawn on already, where its bounds are the same.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(self, before: Option<&RetryBudget>) -> Self {
        match before.filter(|budget| budget.is_of(self.budget_percent, self.budget_burst)) {
            Some(budget) => self.budget(budget.clone()),
            None => self,
        }
    }

    /// An opinion of one's own on what errors mean, for those that no layer further in has decided on, as a
    /// [circuit breaker](crate::circuit_breaker::CircuitBreakerBuilder::classify) has.
    pub fn classify(mut self, classify: impl Classify + 'static) -> Self {
        self.classify = Ours::new(classify);
        self
    }

    /// Makes the jitter the same in every run, for tests. Random by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The settings that matter, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let Self {
            attempts,
            backoff,
            max_retry_after,
            max_retry_after_elsewhere: elsewhere,
            budget_percent,
            ..
        } = self;
        vec![
            format!("up to {attempts} attempts"),
            format!("{:?} to {:?} apart", backoff.base, backoff.cap),
            format!("retry-after up to {max_retry_after:?}, {elsewhere:?} under a fallback"),
            format!("for {budget_percent} % of the requests"),
        ]
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When there is no attempt or no time to make, or a wait's base is above its cap.
    pub fn build(self) -> Result<RetryLayer, ConfigError> {
        if self.attempts == 0 {
            return Err(ConfigError::new("attempts", "must be at least 1"));
        }
        if self.deadline.is_zero() {
            return Err(ConfigError::new("deadline", "must be more than zero"));
        }
        self.backoff.check().map_err(|e| e.within("backoff"))?;
        if let Some(backoff) = self.transport_backoff {
            backoff.check().map_err(|e| e.within("transport_backoff"))?;
        }
        Ok(RetryLayer::of(self))
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::clone(&self.shared))
    }
}

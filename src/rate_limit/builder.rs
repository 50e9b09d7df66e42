use std::{collections::HashMap, sync::Arc, time::Duration};

use http::Request;
use serde::Deserialize;

use super::{
    OutputEstimate, RateLimitHandle, RateLimitLayer, UnknownUsage,
    policy::{Custom, Side},
    quotas::{ByModel, Quotas},
};
use crate::{
    key::{Holders, Key, KeyBy},
    message::{ConfigError, ModelPattern, RequestBody, estimate::TokenEstimator},
    reserve::{Limiter, LocalLimiter, Quota},
    wire::units,
};

/// What a [`RateLimitLayer`] admits, and what it does with the rest; also its configuration.
///
/// Spans of time deserialize from text such as `"30s"`, and limits as [`Limit`](crate::reserve::Limit) says.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct RateLimitBuilder {
    pub(super) limits: Option<Quota>,
    pub(super) models: HashMap<ModelPattern, Quota>,
    pub(super) output: OutputEstimate,
    pub(super) default_output: u64,
    pub(super) unknown_usage: UnknownUsage,
    pub(super) headers: bool,
    #[serde(deserialize_with = "units::duration")]
    pub(super) wait: Duration,
    pub(super) max_waiting: usize,
    pub(super) max_waiting_per_key: usize,
    pub(super) learn: bool,
    #[serde(deserialize_with = "units::duration")]
    pub(super) max_hold: Duration,
    pub(super) max_keys: usize,
    #[serde(skip)]
    pub(super) side: Side,
    #[serde(skip)]
    pub(super) by: Option<KeyBy>,
    #[serde(skip)]
    pub(super) keys: HashMap<Key, Quota>,
    #[serde(skip)]
    pub(super) quota_of: Custom,
    #[serde(skip)]
    pub(super) estimator: TokenEstimator,
    #[serde(skip)]
    pub(super) limiter: Option<Arc<dyn Limiter>>,
    #[serde(skip)]
    pub(super) holders: Holders,
    #[serde(skip)]
    pub(super) before: Option<RateLimitHandle>,
}

impl Default for RateLimitBuilder {
    fn default() -> Self {
        Self {
            limits: None,
            models: HashMap::new(),
            output: OutputEstimate::default(),
            default_output: 1_000,
            unknown_usage: UnknownUsage::default(),
            headers: true,
            wait: Duration::ZERO,
            max_waiting: 1_000,
            max_waiting_per_key: 100,
            learn: true,
            max_hold: Duration::from_secs(60 * 60),
            max_keys: LocalLimiter::MAX_KEYS,
            side: Side::Tenant,
            by: None,
            keys: HashMap::new(),
            quota_of: Custom::default(),
            estimator: TokenEstimator::default(),
            limiter: None,
            holders: Holders::default(),
            before: None,
        }
    }
}

impl RateLimitBuilder {
    /// Guide C's proxy: 300 requests and 500,000 tokens a minute for each API key, with 1,000 tokens of output where a request has no
    /// cap. What a layer for callers has by default.
    pub fn guide_c() -> Self {
        Self::per_minute(300, 500_000)
    }

    /// Guide C's concurrency controller: 3,000 requests and 2,000,000 tokens a minute for everyone together.
    pub fn guide_c_controller() -> Self {
        Self::per_minute(3_000, 2_000_000).by(KeyBy::global())
    }

    /// So many requests and tokens a minute for each key. Zero is taken as one.
    pub fn per_minute(requests: u64, tokens: u64) -> Self {
        let quota = Quota::per_minute(requests.max(1), tokens.max(1));
        Self {
            limits: quota.ok(),
            ..Self::default()
        }
    }

    /// Makes it a layer of an upstream's stack: it keeps the relay within the provider's limits, by model, and learns from the headers of the
    /// provider's answers. No limits of its own by default.
    pub fn provider(mut self) -> Self {
        self.side = Side::Provider;
        self
    }

    /// What each key may use that has no quota of its own: [`guide_c`](Self::guide_c)'s by default, and none on the provider's side.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.limits = Some(quota);
        self
    }

    /// What `key` may use, in place of that. A tier is a quota that is given to several keys; each still has buckets of its own.
    pub fn quota_for(mut self, key: Key, quota: Quota) -> Self {
        self.keys.insert(key, quota);
        self
    }

    /// What a key may use, looked up for each request; `None` leaves it to the other rules. It runs on the request's path: it must not
    /// block, and had best return clones of quotas that it keeps.
    pub fn quota_by(
        mut self,
        quota_of: impl Fn(&Key, &Request<RequestBody>) -> Option<Quota> + Send + Sync + 'static,
    ) -> Self {
        self.quota_of = Custom(Some(Arc::new(quota_of)));
        self
    }

    /// The limits of one model, or of each that matches a pattern, on the provider's side. All models that match none are counted
    /// together as `other`.
    pub fn model(mut self, model: ModelPattern, quota: Quota) -> Self {
        self.models.insert(model, quota);
        self
    }

    /// Whom a request is counted for: the API key by default, and the model on the provider's side. Choose something that was
    /// authenticated, or names from a list.
    pub fn by(mut self, by: KeyBy) -> Self {
        self.by = Some(by);
        self
    }

    /// How many tokens of output are reserved: [`OutputEstimate::Cap`] by default.
    pub fn output(mut self, output: OutputEstimate) -> Self {
        self.output = output;
        self
    }

    /// How many where neither a cap nor experience says: 1,000 by default, as guide C has it.
    pub fn default_output(mut self, tokens: u64) -> Self {
        self.default_output = tokens;
        self
    }

    /// What estimates prompts: by bytes by default.
    pub fn estimator(mut self, estimator: TokenEstimator) -> Self {
        self.estimator = estimator;
        self
    }

    /// What is counted of an answer that does not say: [`UnknownUsage::Estimate`] by default.
    pub fn unknown_usage(mut self, policy: UnknownUsage) -> Self {
        self.unknown_usage = policy;
        self
    }

    /// Whether callers are told what they have left, in `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`: they are by default.
    /// On the provider's side answers never carry them.
    pub fn headers(mut self, told: bool) -> Self {
        self.headers = told;
        self
    }

    /// How long a request may wait for room: not at all by default, so that it is refused at once. Never beyond the request's
    /// [`Deadline`](crate::message::Deadline).
    pub fn wait(mut self, at_most: Duration) -> Self {
        self.wait = at_most;
        self
    }

    /// How many requests may wait, in all and of one key: 1,000 and 100 by default.
    pub fn max_waiting(mut self, in_all: usize, of_one_key: usize) -> Self {
        self.max_waiting = in_all;
        self.max_waiting_per_key = of_one_key;
        self
    }

    /// Whether the headers of the provider's answers are learned from, on the provider's side: they are by default.
    pub fn learn(mut self, learns: bool) -> Self {
        self.learn = learns;
        self
    }

    /// The longest that a provider's header is believed: an hour by default. Then the limit that it states holds again, until an answer
    /// says better.
    pub fn max_hold(mut self, at_most: Duration) -> Self {
        self.max_hold = at_most;
        self
    }

    /// How many keys have buckets of their own in this process: 100,000 by default. See [`LocalLimiter`].
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Keeps the buckets elsewhere than in this process.
    pub fn limiter(mut self, limiter: Arc<dyn Limiter>) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// Goes on from where another layer is: what is used stays used, and what was changed at run time stays where these settings are the same.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(mut self, before: Option<&RateLimitHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// With quotas for `holders` alone, and none for all.
    #[cfg(feature = "gateway")]
    pub(crate) fn only_for(mut self, holders: Holders) -> Self {
        (self.limits, self.holders) = (Some(Quota::default()), holders);
        self
    }

    pub(super) fn tenant_default() -> Quota {
        Quota::per_minute(300, 500_000).unwrap_or_default()
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When a layer for callers has no limit or is to tell models apart, there is no room for a key or for one that waits, or a span is
    /// longer than a year.
    pub fn build(self) -> Result<RateLimitLayer, ConfigError> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let limits = match (&self.limits, self.side) {
            (Some(quota), _) => quota.clone(),
            (None, Side::Tenant) => Self::tenant_default(),
            (None, Side::Provider) => Quota::default(),
        };
        if self.side == Side::Tenant {
            if limits.limits().is_empty() && self.quota_of.0.is_none() && self.keys.is_empty() {
                return Err(ConfigError::new("limits", "has none"));
            }
            if !self.models.is_empty() {
                let reason = "is for the provider's side: callers are counted by their key";
                return Err(ConfigError::new("models", reason));
            }
        }
        if self.max_keys == 0 {
            return Err(ConfigError::new("max_keys", "must be at least 1"));
        }
        for (field, span) in [("wait", self.wait), ("max_hold", self.max_hold)] {
            if span > YEAR {
                return Err(ConfigError::new(field, "is longer than a year"));
            }
        }
        if !self.wait.is_zero() && (self.max_waiting == 0 || self.max_waiting_per_key == 0) {
            let reason = "must be at least 1 where requests may wait";
            return Err(ConfigError::new("max_waiting", reason));
        }
        let by = match (&self.by, self.side) {
            (Some(by), _) => by.clone(),
            (None, Side::Tenant) => KeyBy::api_key(),
            (None, Side::Provider) => KeyBy::model_among(self.models.keys().cloned()),
        };
        let quotas = Quotas::new(
            limits,
            self.keys.clone(),
            ByModel::new(self.models.clone()),
            self.quota_of.0.clone(),
        );
        let quotas = match &self.before {
            Some(before) => quotas.continuing(before.quotas()),
            None => quotas,
        };
        Ok(RateLimitLayer::of(self, by, quotas))
    }
}

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::{layer::Shared, quotas::Quotas};
use crate::{
    key::{Holders, Key},
    reserve::{Account, Amounts, Level, LocalLimiter, Quota},
};

/// Shows and changes what a running [`RateLimitLayer`](super::RateLimitLayer) admits.
#[derive(Debug, Clone)]
pub struct RateLimitHandle {
    shared: Arc<Shared>,
}

impl RateLimitHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn quotas(&self) -> &Quotas {
        &self.shared.quotas
    }

    pub(super) fn holders(&self) -> &Holders {
        &self.shared.holders
    }

    /// Gives `key` the quota again that it had at first.
    pub(super) fn restore(&self, key: &Key) {
        self.shared.quotas.restore(key);
    }

    /// What `key` has left of each of the limits of its [`quota`](Self::quota), in their order.
    pub async fn levels(&self, key: &Key) -> Vec<Level> {
        let (account, quota) = (Account::new(key.clone()), self.quota(key));
        let levels = self.shared.limiter.levels(&account, &quota).await;
        levels.of(&quota).collect()
    }

    /// What `key` may use, as far as it can be told without a request: where quotas are looked up
    /// [for each](super::RateLimitBuilder::quota_by), the one that its last request had, if the store is in this process.
    pub fn quota(&self, key: &Key) -> Quota {
        let quotas = &self.shared.quotas;
        let last = || self.local()?.quota(&Account::new(key.clone()));
        let last = quotas.looks_up(key).then(last).flatten();
        last.unwrap_or_else(|| quotas.known(key))
    }

    /// Gives `key` a quota of its own from now on; `None` takes it away. What is used stays used, where the new quota has a limit for the
    /// same dimension and window. Who waits already goes by what held when it came.
    pub fn set_quota(&self, key: &Key, quota: Option<&Quota>) {
        self.shared.quotas.set(key, quota);
    }

    /// Gives another quota to all keys that have none of their own.
    pub fn set_default(&self, quota: Quota) {
        self.shared.quotas.set_default(quota);
    }

    /// Fills the buckets of `key`, and forgets what was learned of it.
    pub async fn reset(&self, key: &Key) {
        let account = Account::new(key.clone());
        self.shared.limiter.reset(&account).await;
        if let Some(learned) = &self.shared.learned {
            learned.forget(&account);
        }
        self.shared.queue.nudge(&account);
    }

    /// How long the provider has said that nothing of `key` will pass.
    pub fn held(&self, key: &Key) -> Option<Duration> {
        let learned = self.shared.learned.as_ref()?;
        let least = Amounts::request().with_tokens(1, 1);
        learned.held(&Account::new(key.clone()), least, Instant::now())
    }

    /// How many requests were admitted whose answers have not ended: what they reserved is not settled yet.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Relaxed)
    }

    /// How many requests wait for room.
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// The store, where it is in this process: its [keys](LocalLimiter::keys), how often one
    /// [had to share](LocalLimiter::overflowed), and what was [forgiven](LocalLimiter::forgiven).
    pub fn local(&self) -> Option<&LocalLimiter> {
        self.shared.local.as_deref()
    }
}

//! The store that replicas share.

mod breaker;
mod budgets;
mod builder;
mod counters;
mod document;
mod jobs;
mod scripts;
mod share;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

#[cfg(feature = "cache")]
pub(crate) use self::breaker::Breaker;
pub(crate) use self::document::Document;
pub use self::{
    budgets::RedisBudgets,
    builder::{OnStoreFailure, RedisBuilder},
    counters::RedisHandle,
};

use self::{
    jobs::{Job, Settle, Told},
    share::share,
    store::Store,
};
use super::{
    Account, Amounts, Answer, Decision, Levels, Limiter, LocalLimiter, Place, Quota, Settlement,
    Verdict,
};

#[doc = include_str!("../../docs/redis.md")]
#[derive(Debug, Clone)]
pub struct RedisLimiter {
    store: Arc<Store>,
    stand_in: Arc<LocalLimiter>,
    prefix: Arc<str>,
    scope: Arc<str>,
    on_failure: OnStoreFailure,
    replicas: u64,
}

impl RedisLimiter {
    /// Settings to choose before [`build`](RedisBuilder::build), with the server's URL.
    pub fn builder(url: impl Into<String>) -> RedisBuilder {
        RedisBuilder::new(url)
    }

    /// Buckets apart from these, on the same connection and settled by the same worker: a layer of callers' limits and one of a
    /// provider's must not take each other's for the same key. `limits` unless it is said; braces in the name become parentheses.
    #[must_use]
    pub fn scoped(&self, name: &str) -> Self {
        Self {
            scope: name.replace('{', "(").replace('}', ")").into(),
            stand_in: Arc::new(LocalLimiter::new(self.stand_in.max_keys())),
            ..self.clone()
        }
    }

    /// A text that all replicas keep together under this name.
    pub(crate) fn document(&self, name: &str) -> Document {
        let name = name.replace('{', "(").replace('}', ")");
        let key = format!("{}:{}:{{{name}}}", self.prefix, self.scope);
        Document::new(Arc::clone(&self.store), &key)
    }

    /// What is spent of budgets, on the same connection and told by the same worker. Whoever has the same prefix shares them, whatever the
    /// scope.
    pub fn budgets(&self) -> RedisBudgets {
        let (store, prefix) = (Arc::clone(&self.store), Arc::clone(&self.prefix));
        RedisBudgets::new(store, prefix, self.on_failure, self.replicas)
    }

    /// What it has counted, of all scopes together.
    pub fn handle(&self) -> RedisHandle {
        RedisHandle::new(Arc::clone(&self.store))
    }

    /// One key for all limits of an account, with the account as its hash tag: whatever else is kept of it is in the same slot of
    /// a cluster.
    fn key(&self, account: &Account) -> String {
        format!("{}:{}:{{{}}}", self.prefix, self.scope, account.key())
    }

    /// What becomes of a reservation that the server does not decide.
    fn without_store(&self, account: &Account, quota: &Quota, amounts: Amounts) -> Decision {
        let counters = &self.store.counters;
        let mut decision = Decision::admitted(Levels::default());
        match self.on_failure {
            OnStoreFailure::FailOpen => {
                counters.uncounted.add(1);
                decision.place = Place::Nowhere;
                return decision;
            }
            OnStoreFailure::FailClosed => {}
            OnStoreFailure::Local => {
                let share = share(quota, self.replicas);
                if let Answer::Now(Some(own)) = self.stand_in.reserve(account, &share, amounts)
                    && !matches!(own.verdict, Verdict::TooLarge { .. })
                {
                    counters.stood_in.add(1);
                    decision.verdict = own.verdict;
                    decision.levels = own.levels.of_all(&share, quota);
                    decision.place = match own.place {
                        Place::Shared => Place::StandInShared,
                        _ => Place::StandIn,
                    };
                    return decision;
                }
                if let refused = Decision::refused(quota, Levels::default(), amounts)
                    && matches!(refused.verdict, Verdict::TooLarge { .. })
                {
                    return refused;
                }
            }
        }
        counters.refused.add(1);
        decision.verdict = Verdict::Unavailable {
            wait: self.store.wait(),
        };
        decision
    }
}

impl Limiter for RedisLimiter {
    fn reserve(&self, account: &Account, quota: &Quota, amounts: Amounts) -> Answer<Decision> {
        if quota.limits().is_empty() {
            return Answer::now(Decision::admitted(Levels::default()));
        }
        let (limiter, account, quota) = (self.clone(), account.clone(), quota.clone());
        Answer::Later(Box::pin(async move {
            let store = Arc::clone(&limiter.store);
            let taken = store.reserve(limiter.key(&account), quota.clone(), amounts);
            match taken.await {
                Some(taken) if taken.is_admitted => Decision::admitted(taken.levels),
                Some(taken) => Decision::refused(&quota, taken.levels, amounts),
                None => limiter.without_store(&account, &quota, amounts),
            }
        }))
    }

    fn settle(&self, settlement: &Settlement<'_>) {
        let Settlement { account, quota, .. } = *settlement;
        let place = match settlement.place {
            Place::Nowhere => return,
            Place::StandIn => Place::Own,
            Place::StandInShared => Place::Shared,
            Place::Own | Place::Shared => {
                if !quota.limits().is_empty() {
                    self.store.queue(Job::Tell(Told::Limits(Settle {
                        key: self.key(account),
                        quota: quota.clone(),
                        reserved: settlement.reserved,
                        used: settlement.used,
                    })));
                }
                return;
            }
        };
        self.stand_in.settle(&Settlement {
            quota: &share(quota, self.replicas),
            place,
            ..*settlement
        });
    }

    fn levels(&self, account: &Account, quota: &Quota) -> Answer<Levels> {
        if quota.limits().is_empty() {
            return Answer::now(Levels::default());
        }
        let (limiter, account, quota) = (self.clone(), account.clone(), quota.clone());
        Answer::Later(Box::pin(async move {
            let store = Arc::clone(&limiter.store);
            // Nothing is always there to be taken.
            let taken = store.reserve(limiter.key(&account), quota.clone(), Amounts::NONE);
            if let Some(taken) = taken.await {
                return taken.levels;
            }
            match limiter.on_failure {
                OnStoreFailure::Local => {
                    let share = share(&quota, limiter.replicas);
                    let levels = limiter.stand_in.levels(&account, &share).await;
                    levels.of_all(&share, &quota)
                }
                OnStoreFailure::FailOpen | OnStoreFailure::FailClosed => Levels::default(),
            }
        }))
    }

    fn reset(&self, account: &Account) -> Answer<()> {
        let limiter = self.clone();
        let account = account.clone();
        Answer::Later(Box::pin(async move {
            limiter.stand_in.reset(&account).await;
            Arc::clone(&limiter.store)
                .reset(limiter.key(&account))
                .await;
        }))
    }
}

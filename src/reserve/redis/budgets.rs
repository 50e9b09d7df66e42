//! Accounts of budgets that replicas share.

use std::sync::Arc;

use super::{
    OnStoreFailure,
    jobs::{Job, Told},
    scripts::read_budgets,
    store::Store,
};
use crate::{
    message::catalog::Cost,
    reserve::{Asking, BudgetStore, Charge, Claim, Reserved, Without},
};

/// What is spent of budgets, in the server of a [`RedisLimiter`](super::RedisLimiter), which makes it.
#[derive(Debug, Clone)]
pub struct RedisBudgets {
    store: Arc<Store>,
    prefix: Arc<str>,
    on_failure: OnStoreFailure,
    replicas: u64,
}

impl RedisBudgets {
    pub(super) fn new(
        store: Arc<Store>,
        prefix: Arc<str>,
        on_failure: OnStoreFailure,
        replicas: u64,
    ) -> Self {
        Self {
            store,
            prefix,
            on_failure,
            replicas,
        }
    }

    /// The keys of accounts. A request's are changed in one step, so all have one hash tag.
    fn keys(&self, claims: &[Claim]) -> Vec<String> {
        let key = |claim: &Claim| {
            let Claim {
                account, window, ..
            } = claim;
            format!("{}:{{budgets}}:{account}:{window}", self.prefix)
        };
        claims.iter().map(key).collect()
    }

    fn without_store(&self) -> Without {
        let counters = &self.store.counters;
        match self.on_failure {
            OnStoreFailure::FailOpen => {
                counters.uncounted.add(1);
                Without::Admit
            }
            OnStoreFailure::FailClosed => {
                counters.refused.add(1);
                Without::Refuse(self.store.wait())
            }
            OnStoreFailure::Local => {
                counters.stood_in.add(1);
                Without::Share(self.replicas)
            }
        }
    }
}

impl BudgetStore for RedisBudgets {
    fn reserve(&self, claims: Arc<[Claim]>, amount: Option<Cost>) -> Asking {
        let budgets = self.clone();
        Box::pin(async move {
            let keys = budgets.keys(&claims);
            let count = keys.len();
            let given_up = Charge {
                claims: Arc::clone(&claims),
                lease: None,
                reserved: amount.unwrap_or_default(),
                spent: Some(Cost::ZERO),
                unpriced: 0,
                told: Box::new(drop),
            };
            let given_up = Told::Budgets(keys.clone(), given_up);
            let store = Arc::clone(&budgets.store);
            let answer = store.call(given_up, move |scripts, mut connection| {
                Box::pin(async move {
                    let call = scripts.reserve_budgets(&keys, &claims, amount);
                    call.invoke_async(&mut connection).await
                })
            });
            let answer = answer.await;
            match answer.and_then(|answer| read_budgets(count, &answer)) {
                Some(taken) if taken.is_admitted => Reserved::Taken {
                    lease: taken.lease,
                    balances: taken.balances,
                },
                Some(taken) => Reserved::Refused(taken.balances),
                None => Reserved::Unavailable(budgets.without_store()),
            }
        })
    }

    fn settle(&self, charge: Charge) {
        let keys = self.keys(&charge.claims);
        self.store.queue(Job::Tell(Told::Budgets(keys, charge)));
    }
}

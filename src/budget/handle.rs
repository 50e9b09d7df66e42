use std::{borrow::Borrow, slice, sync::Arc, time::SystemTime};

use super::{
    BudgetControl, Limits,
    layer::Shared,
    state::{Level, Party},
};
use crate::{key::Key, ledger::Record, message::catalog::Cost, reserve::Charge};

/// Shows and changes the budgets of a running [`BudgetLayer`](super::BudgetLayer).
///
/// Where replicas share a [store](super::BudgetBuilder::store), it shows what this one has last heard of it: of a key, when its last request
/// here was admitted or settled. Limits that are changed are changed here alone; what is [reset](Self::reset) is for all.
#[derive(Debug, Clone)]
pub struct BudgetHandle {
    shared: Arc<Shared>,
}

/// What a key has in a budget, in the window in force.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLevel {
    /// The budget.
    pub budget: Arc<str>,
    /// The key, as [`Key`] shows it; `other` for those together that there was no room for.
    pub key: Arc<str>,
    /// What it has spent.
    pub spent: Cost,
    /// What is reserved for requests that have not ended.
    pub reserved: Cost,
    /// What it may still spend: the hard limit, less both.
    pub left: Cost,
    /// Its limits.
    pub limits: Limits,
    /// Attempts, or answers without a meter, whose price nobody knew.
    pub unpriced: u64,
    /// When the budget is renewed; `None` for never.
    pub renewed_at: Option<SystemTime>,
}

impl BudgetHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The budgets, each for operators to see and change by its name.
    pub fn controls(&self) -> Vec<(Arc<str>, BudgetControl)> {
        let budgets = self.shared.budgets.iter();
        let control = |name: &Arc<str>| {
            let control = BudgetControl::new(self.clone(), Arc::clone(name));
            (Arc::clone(name), control)
        };
        budgets.map(|budget| control(&budget.name)).collect()
    }

    #[cfg(feature = "gateway")]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether it counts this one, by its name and calendar.
    #[cfg(feature = "gateway")]
    pub(crate) fn keeps(&self, budget: &super::Budget) -> bool {
        self.shared.books().keeps(budget)
    }

    /// What `key` has in `budget`; `None` where there is no such budget.
    pub fn level(&self, budget: &str, key: &Key) -> Option<BudgetLevel> {
        let (index, key) = self.party(budget, key)?;
        let level = self.shared.books().level(self.shared.now(), index, &key)?;
        self.shown(index, key, &level)
    }

    /// What everybody has in `budget` who has spent or reserved something or has limits of their own, by key.
    pub fn levels(&self, budget: &str) -> Vec<BudgetLevel> {
        let Some(index) = self.index(budget) else {
            return Vec::new();
        };
        let levels = self.shared.books().levels(self.shared.now(), index);
        let shown = |(key, level)| self.shown(index, key, &level);
        levels.into_iter().filter_map(shown).collect()
    }

    /// Gives `key` limits of its own in `budget` from now on; `None` takes them away. Whether there is such a budget.
    pub fn set_limits(&self, budget: &str, key: &Key, limits: Option<Limits>) -> bool {
        let party = self.party(budget, key);
        if let Some((index, key)) = &party {
            self.shared.books().set_limits(*index, key, limits);
        }
        party.is_some()
    }

    /// Gives other limits to all keys of `budget` that have none of their own. Whether there is such a budget.
    pub fn set_default(&self, budget: &str, limits: Limits) -> bool {
        let index = self.index(budget);
        if let Some(index) = index {
            self.shared.books().set_default(index, limits);
        }
        index.is_some()
    }

    /// Forgets what `key` has spent of `budget` in this window. What is reserved stays until its requests end. Whether there is such a
    /// budget.
    pub fn reset(&self, budget: &str, key: &Key) -> bool {
        let party = self.party(budget, key);
        if let Some(party) = &party {
            let mut books = self.shared.books();
            books.reset(party.0, &party.1);
            if let Some(store) = &self.shared.store {
                let claims = books.claims(self.shared.now(), slice::from_ref(party), &[]);
                drop(books);
                store.settle(Charge {
                    claims,
                    lease: None,
                    reserved: Cost::ZERO,
                    spent: None,
                    unpriced: 0,
                    told: Box::new(drop),
                });
            }
        }
        party.is_some()
    }

    /// When the earliest window in force began: older records need not be read to [`recover`](Self::recover). `None` where all of
    /// them count, because a budget is never renewed.
    pub fn since(&self) -> Option<SystemTime> {
        self.shared.books().since(self.shared.now())
    }

    /// Charges what an earlier run has spent, by its ledger's records: those in the windows in force count, for the budgets and keys that
    /// they name. To be called once, before the first request.
    pub fn recover<R: Borrow<Record>>(&self, records: impl IntoIterator<Item = R>) {
        let now = self.shared.now();
        for record in records {
            let record = record.borrow();
            for (name, key) in record.budgets.iter() {
                let Some(index) = self.index(name) else {
                    continue;
                };
                let party = (index, key.into());
                let mut books = self.shared.books();
                books.charge(now, &party, record.time, record.cost_usd);
            }
        }
    }

    fn index(&self, budget: &str) -> Option<usize> {
        let mut budgets = self.shared.budgets.iter();
        budgets.position(|known| &*known.name == budget)
    }

    fn party(&self, budget: &str, key: &Key) -> Option<Party> {
        Some((self.index(budget)?, key.to_string().into()))
    }

    fn shown(&self, index: usize, key: Arc<str>, level: &Level) -> Option<BudgetLevel> {
        let taken = level.spent + level.reserved;
        Some(BudgetLevel {
            budget: Arc::clone(&self.shared.budgets.get(index)?.name),
            key,
            spent: level.spent,
            reserved: level.reserved,
            left: level.limits.hard.saturating_sub(taken),
            limits: level.limits,
            unpriced: level.unpriced,
            renewed_at: level.until,
        })
    }
}

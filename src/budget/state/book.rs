//! The accounts of one budget.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use super::Level;
use crate::{
    budget::{Budget, Limits, calendar::Calendar},
    message::catalog::Cost,
    reserve::Balance,
};

/// What stands for the keys that there is no more room for.
const OTHER: &str = "other";

#[derive(Debug)]
pub(super) struct Book {
    pub(super) name: Arc<str>,
    pub(super) calendar: Calendar,
    /// The window in force.
    pub(super) window: i64,
    /// Which window it is, of all of all books: what was reserved in another is not this one's.
    pub(super) generation: u64,
    pub(super) accounts: HashMap<Arc<str>, Account>,
    pub(super) max_keys: usize,
    pub(super) default: Limits,
    pub(super) limits: HashMap<Arc<str>, Limits>,
    /// Both as they were set at first.
    #[cfg_attr(
        not(feature = "gateway"),
        allow(dead_code, reason = "a reload compares it")
    )]
    pub(super) set: (Limits, HashMap<Arc<str>, Limits>),
}

/// One key's, in the window in force. There is none for a key that has nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) spent: Cost,
    pub(super) reserved: Cost,
    /// Requests that have not been settled.
    pub(super) open: u64,
    pub(super) unpriced: u64,
    pub(super) warned: bool,
    /// What was spent and reserved while a store that replicas share did not answer.
    pub(super) alone: Cost,
}

impl Book {
    pub(super) fn new(budget: &Budget, max_keys: usize, now: SystemTime) -> Self {
        Self {
            name: Arc::clone(&budget.name),
            calendar: budget.calendar(),
            window: budget.calendar().window(now),
            generation: 0,
            accounts: HashMap::new(),
            max_keys,
            default: budget.limits(),
            limits: budget.keys.clone(),
            set: (budget.limits(), budget.keys.clone()),
        }
    }

    pub(super) fn turn(&mut self, now: SystemTime) {
        let window = self.calendar.window(now);
        if window > self.window {
            self.window = window;
            self.generation = self.generation.wrapping_add(1);
            self.accounts = HashMap::new();
        } else if window + 1 < self.window {
            // The clock had been wrong by more than a step over midnight. What was spent stays spent.
            self.window = window;
        }
    }

    pub(super) fn limits(&self, key: &str) -> Limits {
        self.limits.get(key).copied().unwrap_or(self.default)
    }

    pub(super) fn account(&self, key: &str) -> Account {
        let own = self.accounts.get(key);
        let shared = || {
            let is_full = self.accounts.len() >= self.max_keys;
            is_full.then(|| self.accounts.get(OTHER)).flatten()
        };
        own.or_else(shared).copied().unwrap_or_default()
    }

    /// The key itself, or what stands for it where there is no room.
    pub(super) fn place(&self, key: &Arc<str>) -> Arc<str> {
        if self.accounts.len() < self.max_keys || self.accounts.contains_key(key) {
            Arc::clone(key)
        } else {
            OTHER.into()
        }
    }

    pub(super) fn has_room(&self, key: &str, amount: Option<Cost>) -> bool {
        let account = self.account(key);
        has_room(
            account.spent + account.reserved,
            amount,
            self.limits(key).hard,
        )
    }

    pub(super) fn level(&self, key: &str) -> Level {
        let account = self.account(key);
        let balance = Balance {
            spent: account.spent,
            reserved: account.reserved,
            unpriced: account.unpriced,
        };
        self.level_of(key, balance)
    }

    pub(super) fn level_of(&self, key: &str, balance: Balance) -> Level {
        Level {
            spent: balance.spent,
            reserved: balance.reserved,
            unpriced: balance.unpriced,
            limits: self.limits(key),
            until: self.calendar.start(self.window.saturating_add(1)),
        }
    }

    /// Whether `key` has come to its soft limit and was not warned in this window.
    pub(super) fn warns(&mut self, key: &str) -> bool {
        let soft = self.limits(key).soft;
        let Some(account) = self.accounts.get_mut(key) else {
            return false;
        };
        let warns = !account.warned && soft.is_some_and(|soft| account.spent >= soft);
        account.warned |= warns;
        warns
    }
}

/// What costs nothing always has room; what nobody knows the price of, where anything is left.
pub(super) fn has_room(taken: Cost, amount: Option<Cost>, hard: Cost) -> bool {
    match amount {
        Some(Cost::ZERO) => true,
        Some(amount) => taken + amount <= hard,
        None => taken < hard,
    }
}

impl Account {
    pub(super) fn is_empty(&self) -> bool {
        let money = [self.spent, self.reserved, self.alone];
        money.iter().all(|cost| *cost == Cost::ZERO) && self.open == 0 && self.unpriced == 0
    }
}

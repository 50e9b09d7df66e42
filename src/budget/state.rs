//! The books: what was spent, and what is reserved. Pure; `now` is an argument.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Budget, Limits, calendar::Calendar};
use crate::{
    message::catalog::Cost,
    reserve::{Balance, Claim},
};

/// What stands for the keys that there is no more room for.
const OTHER: &str = "other";

/// One book for each budget, in their order.
#[derive(Debug)]
pub(super) struct Books(Vec<Book>);

#[derive(Debug)]
struct Book {
    name: Arc<str>,
    calendar: Calendar,
    /// The window in force.
    window: i64,
    /// How many windows there were: what was reserved in an earlier one is no longer this one's.
    generation: u64,
    accounts: HashMap<Arc<str>, Account>,
    max_keys: usize,
    default: Limits,
    limits: HashMap<Arc<str>, Limits>,
}

/// One key's, in the window in force. There is none for a key that has nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Account {
    spent: Cost,
    reserved: Cost,
    /// Requests that have not been settled.
    open: u64,
    unpriced: u64,
    warned: bool,
    /// What was spent and reserved while a store that replicas share did not answer.
    alone: Cost,
}

/// What one key has in a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) spent: Cost,
    pub(super) reserved: Cost,
    pub(super) unpriced: u64,
    pub(super) limits: Limits,
    /// When the window ends; `None` for never.
    pub(super) until: Option<SystemTime>,
}

/// Whom a request is charged to: an index into the budgets, and the key.
pub(super) type Party = (usize, Arc<str>);

/// What was reserved of every party. Given back once, by [`Books::settle`].
#[derive(Debug)]
pub(super) struct Ticket {
    shares: Vec<(Party, u64)>,
    amount: Cost,
}

/// Why there is no room, by party.
#[derive(Debug)]
pub(super) struct Exceeded {
    pub(super) party: Party,
    pub(super) level: Level,
}

/// A key has just come to its soft limit.
#[derive(Debug)]
pub(super) struct Warning {
    pub(super) party: Party,
    pub(super) level: Level,
}

impl Ticket {
    /// What was reserved of every party.
    pub(super) fn amount(&self) -> Cost {
        self.amount
    }
}

impl Books {
    pub(super) fn new(budgets: &[Budget], max_keys: usize, now: SystemTime) -> Self {
        let book = |budget: &Budget| Book {
            name: Arc::clone(&budget.name),
            calendar: budget.calendar(),
            window: budget.calendar().window(now),
            generation: 0,
            accounts: HashMap::new(),
            max_keys,
            default: budget.limits(),
            limits: budget.keys.clone(),
        };
        Self(budgets.iter().map(book).collect())
    }

    /// Reserves `amount` of every party, or of none. `None` where the price is not known: then nothing is reserved, and there must be
    /// something left. What costs nothing always passes. The parties of budgets in `beyond` may go beyond their limits.
    pub(super) fn reserve(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        amount: Option<Cost>,
        beyond: &[usize],
    ) -> Result<Ticket, Vec<Exceeded>> {
        let mut exceeded = Vec::new();
        for party in parties {
            let Some(book) = self.book(party.0, now) else {
                continue;
            };
            if !beyond.contains(&party.0) && !book.has_room(&party.1, amount) {
                let level = book.level(&party.1);
                let party = party.clone();
                exceeded.push(Exceeded { party, level });
            }
        }
        if !exceeded.is_empty() {
            return Err(exceeded);
        }
        let amount = amount.unwrap_or_default();
        let mut shares = Vec::with_capacity(parties.len());
        for (index, key) in parties {
            let Some(book) = self.0.get_mut(*index) else {
                continue;
            };
            let key = book.place(key);
            let account = book.accounts.entry(Arc::clone(&key)).or_default();
            account.reserved += amount;
            account.open = account.open.saturating_add(1);
            shares.push(((*index, key), book.generation));
        }
        Ok(Ticket { shares, amount })
    }

    /// Gives back what was reserved, and charges what was spent instead, in the window in which it was reserved.
    pub(super) fn settle(
        &mut self,
        now: SystemTime,
        ticket: &Ticket,
        spent: Cost,
        unpriced: u64,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for ((index, key), generation) in &ticket.shares {
            let Some(book) = self.book(*index, now) else {
                continue;
            };
            if book.generation != *generation {
                continue;
            }
            let Entry::Occupied(mut entry) = book.accounts.entry(Arc::clone(key)) else {
                continue;
            };
            let account = entry.get_mut();
            account.reserved = account.reserved.saturating_sub(ticket.amount);
            account.open = account.open.saturating_sub(1);
            account.spent += spent;
            account.unpriced = account.unpriced.saturating_add(unpriced);
            if account.is_empty() {
                entry.remove();
            } else if book.warns(key) {
                let level = book.level(key);
                let party = (*index, Arc::clone(key));
                warnings.push(Warning { party, level });
            }
        }
        warnings
    }

    /// What a store that replicas share is asked of these parties. Those of budgets in `beyond` may go beyond their limits.
    pub(super) fn claims(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        beyond: &[usize],
    ) -> Arc<[Claim]> {
        let claim = |(index, key): &Party| {
            let book = self.book(*index, now)?;
            let end = book.calendar.start(book.window.saturating_add(1));
            let since_epoch = end.and_then(|end| end.duration_since(UNIX_EPOCH).ok());
            Some(Claim {
                account: format!("{}/{key}", book.name).into(),
                window: book.calendar.name(book.window).into(),
                ends: since_epoch.map_or(0, |span| {
                    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
                }),
                limit: (!beyond.contains(index)).then(|| book.limits(key).hard),
            })
        };
        parties.iter().filter_map(claim).collect()
    }

    /// Takes down what the store says that these parties have, by their claims.
    pub(super) fn hear(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        claims: &[Claim],
        balances: &[Balance],
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (((index, key), claim), balance) in parties.iter().zip(claims).zip(balances) {
            let Some(book) = self.book(*index, now) else {
                continue;
            };
            if book.calendar.name(book.window) == *claim.window && book.hear(key, *balance) {
                let level = book.level(key);
                let party = (*index, Arc::clone(key));
                warnings.push(Warning { party, level });
            }
        }
        warnings
    }

    /// Why the store has refused, by what it says.
    pub(super) fn exceeded(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        balances: &[Balance],
        amount: Option<Cost>,
        beyond: &[usize],
    ) -> Vec<Exceeded> {
        let mut exceeded = Vec::new();
        for ((index, key), balance) in parties.iter().zip(balances) {
            let Some(book) = self.book(*index, now) else {
                continue;
            };
            let level = book.level_of(key, *balance);
            let taken = balance.spent + balance.reserved;
            if !beyond.contains(index) && !has_room(taken, amount, level.limits.hard) {
                let party = (*index, Arc::clone(key));
                exceeded.push(Exceeded { party, level });
            }
        }
        exceeded
    }

    /// Reserves while the store does not answer: of what it had left, when it was last heard, this replica has its share.
    pub(super) fn reserve_alone(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        amount: Option<Cost>,
        beyond: &[usize],
        replicas: u64,
    ) -> Result<(), Vec<Exceeded>> {
        let mut exceeded = Vec::new();
        for (index, key) in parties {
            let Some(book) = self.book(*index, now) else {
                continue;
            };
            let account = book.account(key);
            let level = book.level(key);
            let left = level
                .limits
                .hard
                .saturating_sub(level.spent + level.reserved);
            let share = Cost::from_pico_usd(left.pico_usd() / u128::from(replicas.max(1)));
            if !beyond.contains(index) && !has_room(account.alone, amount, share) {
                let party = (*index, Arc::clone(key));
                exceeded.push(Exceeded { party, level });
            }
        }
        if !exceeded.is_empty() {
            return Err(exceeded);
        }
        for party in parties {
            self.change_alone(now, party, |alone| alone + amount.unwrap_or_default());
        }
        Ok(())
    }

    /// What was reserved alone comes to `spent`. The store is told of that, too, and what it says next holds in place of this.
    pub(super) fn settle_alone(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        reserved: Cost,
        spent: Cost,
    ) {
        for party in parties {
            self.change_alone(now, party, |alone| alone.saturating_sub(reserved) + spent);
        }
    }

    fn change_alone(
        &mut self,
        now: SystemTime,
        (index, key): &Party,
        change: impl FnOnce(Cost) -> Cost,
    ) {
        let Some(book) = self.book(*index, now) else {
            return;
        };
        let key = book.place(key);
        let account = book.accounts.entry(Arc::clone(&key)).or_default();
        account.alone = change(account.alone);
        if account.is_empty() {
            book.accounts.remove(&key);
        }
    }

    /// Charges what was spent at `moment`, in an earlier run, where that is in the window in force.
    pub(super) fn charge(
        &mut self,
        now: SystemTime,
        (index, key): Party,
        moment: SystemTime,
        cost: Option<Cost>,
    ) {
        let Some(book) = self.book(index, now) else {
            return;
        };
        let cost_or_none = cost.unwrap_or_default();
        let is_nothing = cost == Some(Cost::ZERO);
        if is_nothing || book.calendar.window(moment) != book.window {
            return;
        }
        let key = book.place(&key);
        let account = book.accounts.entry(Arc::clone(&key)).or_default();
        account.spent += cost_or_none;
        account.unpriced += u64::from(cost.is_none());
        // Whoever had been warned had been told.
        let _ = book.warns(&key);
    }

    /// What `key` has.
    pub(super) fn level(&mut self, now: SystemTime, index: usize, key: &str) -> Option<Level> {
        Some(self.book(index, now)?.level(key))
    }

    /// What everybody has who has spent or reserved something, and those with limits of their own.
    pub(super) fn levels(&mut self, now: SystemTime, index: usize) -> Vec<(Arc<str>, Level)> {
        let Some(book) = self.book(index, now) else {
            return Vec::new();
        };
        let mut keys: Vec<_> = book.accounts.keys().chain(book.limits.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let level = |key: &Arc<str>| (Arc::clone(key), book.level(key));
        keys.into_iter().map(level).collect()
    }

    /// Whether `key` has come to its soft limit, and what it has.
    pub(super) fn warned(&mut self, now: SystemTime, (index, key): &Party) -> Option<Level> {
        let level = self.level(now, *index, key)?;
        let soft = level.limits.soft?;
        (level.spent >= soft).then_some(level)
    }

    pub(super) fn set_default(&mut self, index: usize, limits: Limits) {
        if let Some(book) = self.0.get_mut(index) {
            book.default = limits;
        }
    }

    pub(super) fn set_limits(&mut self, index: usize, key: &str, limits: Option<Limits>) {
        if let Some(book) = self.0.get_mut(index) {
            match limits {
                Some(limits) => book.limits.insert(key.into(), limits),
                None => book.limits.remove(key),
            };
        }
    }

    /// Forgets what `key` has spent; what is reserved stays.
    pub(super) fn reset(&mut self, index: usize, key: &str) {
        let Some(book) = self.0.get_mut(index) else {
            return;
        };
        if let Some(account) = book.accounts.get_mut(key) {
            (account.spent, account.unpriced, account.warned) = (Cost::ZERO, 0, false);
            if account.is_empty() {
                book.accounts.remove(key);
            }
        }
    }

    /// When the earliest window in force began; `None` where one has always been.
    pub(super) fn since(&mut self, now: SystemTime) -> Option<SystemTime> {
        let mut since = Some(now);
        for index in 0..self.0.len() {
            let start = self
                .book(index, now)
                .and_then(|book| book.calendar.start(book.window));
            since = since.zip(start).map(|(a, b)| a.min(b));
        }
        since
    }

    /// A book, with the window in force at `now`.
    fn book(&mut self, index: usize, now: SystemTime) -> Option<&mut Book> {
        let book = self.0.get_mut(index)?;
        book.turn(now);
        Some(book)
    }
}

impl Book {
    fn turn(&mut self, now: SystemTime) {
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

    fn limits(&self, key: &str) -> Limits {
        self.limits.get(key).copied().unwrap_or(self.default)
    }

    fn account(&self, key: &str) -> Account {
        let own = self.accounts.get(key);
        let shared = || {
            let is_full = self.accounts.len() >= self.max_keys;
            is_full.then(|| self.accounts.get(OTHER)).flatten()
        };
        own.or_else(shared).copied().unwrap_or_default()
    }

    /// The key itself, or what stands for it where there is no room.
    fn place(&self, key: &Arc<str>) -> Arc<str> {
        if self.accounts.len() < self.max_keys || self.accounts.contains_key(key) {
            Arc::clone(key)
        } else {
            OTHER.into()
        }
    }

    fn has_room(&self, key: &str, amount: Option<Cost>) -> bool {
        let account = self.account(key);
        has_room(
            account.spent + account.reserved,
            amount,
            self.limits(key).hard,
        )
    }

    /// Takes down what the store says of `key`; whether it is to be warned.
    fn hear(&mut self, key: &Arc<str>, balance: Balance) -> bool {
        let known = self.accounts.contains_key(key);
        if balance == Balance::default() {
            self.accounts.remove(key);
            return false;
        }
        if !known && self.accounts.len() >= self.max_keys {
            return false;
        }
        let account = self.accounts.entry(Arc::clone(key)).or_default();
        (account.spent, account.reserved) = (balance.spent, balance.reserved);
        (account.unpriced, account.alone) = (balance.unpriced, Cost::ZERO);
        self.warns(key)
    }

    fn level(&self, key: &str) -> Level {
        let account = self.account(key);
        let balance = Balance {
            spent: account.spent,
            reserved: account.reserved,
            unpriced: account.unpriced,
        };
        self.level_of(key, balance)
    }

    fn level_of(&self, key: &str, balance: Balance) -> Level {
        Level {
            spent: balance.spent,
            reserved: balance.reserved,
            unpriced: balance.unpriced,
            limits: self.limits(key),
            until: self.calendar.start(self.window.saturating_add(1)),
        }
    }

    /// Whether `key` has come to its soft limit and was not warned in this window.
    fn warns(&mut self, key: &str) -> bool {
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
fn has_room(taken: Cost, amount: Option<Cost>, hard: Cost) -> bool {
    match amount {
        Some(Cost::ZERO) => true,
        Some(amount) => taken + amount <= hard,
        None => taken < hard,
    }
}

impl Account {
    fn is_empty(&self) -> bool {
        let money = [self.spent, self.reserved, self.alone];
        money.iter().all(|cost| *cost == Cost::ZERO) && self.open == 0 && self.unpriced == 0
    }
}

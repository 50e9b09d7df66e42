//! The books: what was spent, and what is reserved. Pure; `now` is an argument.

mod book;
mod heard;
#[cfg(feature = "gateway")]
mod merge;

use std::{collections::hash_map::Entry, sync::Arc, time::SystemTime};

use self::book::Book;
use super::{Budget, Limits};
use crate::message::catalog::Cost;

/// One book for each budget, in their order. Where budgets have come and gone, books that are closed leave their places empty.
#[derive(Debug, Default)]
pub(super) struct Books {
    books: Vec<Option<Book>>,
    /// How many books were opened.
    opened: u64,
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
        let mut books = Self::default();
        for budget in budgets {
            books.open(Book::new(budget, max_keys, now));
        }
        books
    }

    /// Opens a book at the first place that is empty.
    fn open(&mut self, mut book: Book) -> usize {
        // No book sees so many windows.
        book.generation = self.opened << 32;
        self.opened += 1;
        let empty = self.books.iter().position(Option::is_none);
        let place = empty.unwrap_or(self.books.len());
        match self.books.get_mut(place) {
            Some(empty) => *empty = Some(book),
            None => self.books.push(Some(book)),
        }
        place
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
            let Some(book) = self.slot(*index) else {
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
        if let Some(book) = self.slot(index) {
            book.default = limits;
        }
    }

    pub(super) fn set_limits(&mut self, index: usize, key: &str, limits: Option<Limits>) {
        if let Some(book) = self.slot(index) {
            match limits {
                Some(limits) => book.limits.insert(key.into(), limits),
                None => book.limits.remove(key),
            };
        }
    }

    /// Forgets what `key` has spent; what is reserved stays.
    pub(super) fn reset(&mut self, index: usize, key: &str) {
        let Some(book) = self.slot(index) else {
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
        for book in self.books.iter_mut().flatten() {
            book.turn(now);
            let start = book.calendar.start(book.window);
            since = since.zip(start).map(|(a, b)| a.min(b));
        }
        since
    }

    /// A book, with the window in force at `now`.
    fn book(&mut self, index: usize, now: SystemTime) -> Option<&mut Book> {
        let book = self.slot(index)?;
        book.turn(now);
        Some(book)
    }

    fn slot(&mut self, index: usize) -> Option<&mut Book> {
        self.books.get_mut(index)?.as_mut()
    }
}

//! The books as one layer sees them.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::SystemTime,
};

use super::{
    Limits,
    state::{Books, Exceeded, Level, Party, Ticket, Warning},
};
use crate::{
    message::catalog::Cost,
    reserve::{Balance, Claim},
};

/// Books that a layer made for itself, or has taken over from another: those then go on in place of its own.
#[derive(Debug)]
pub(super) struct Accounts {
    own: Arc<Mutex<Books>>,
    taken: OnceLock<Taken>,
}

#[derive(Debug)]
struct Taken {
    books: Arc<Mutex<Books>>,
    /// Where the layer's budgets stand in them.
    places: Box<[usize]>,
}

/// The books, while nobody else changes them. Budgets are named by their place in the layer.
pub(super) struct Open<'a> {
    books: MutexGuard<'a, Books>,
    places: Option<&'a [usize]>,
}

impl Accounts {
    pub(super) fn new(books: Books) -> Self {
        Self {
            own: Arc::new(Mutex::new(books)),
            taken: OnceLock::new(),
        }
    }

    /// One lock for all books: a request is reserved for in all of them or in none, and is held for some map look-ups.
    pub(super) fn open(&self) -> Open<'_> {
        let taken = self.taken.get();
        Open {
            books: lock(taken.map_or(&self.own, |taken| &taken.books)),
            places: taken.map(|taken| &*taken.places),
        }
    }

    /// Goes on with the books of `before`. Of its own budgets those are opened there that were not, and theirs are closed that it does not
    /// have.
    #[cfg(feature = "gateway")]
    pub(super) fn take_over(&self, before: &Self) {
        let taken = before.taken.get();
        let books = Arc::clone(taken.map_or(&before.own, |taken| &taken.books));
        let own = std::mem::take(&mut *lock(&self.own));
        let places = lock(&books).merge(own);
        // Nobody else takes over for it.
        let _ = self.taken.set(Taken { books, places });
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    // Sums saturate, and no step of theirs can panic half-way.
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Open<'_> {
    fn place(&self, index: usize) -> usize {
        match self.places {
            Some(places) => places.get(index).copied().unwrap_or(usize::MAX),
            None => index,
        }
    }

    fn there(&self, (index, key): &Party) -> Party {
        (self.place(*index), Arc::clone(key))
    }

    fn all_there<'b>(&self, parties: &'b [Party]) -> Cow<'b, [Party]> {
        match self.places {
            Some(_) => parties.iter().map(|party| self.there(party)).collect(),
            None => parties.into(),
        }
    }

    fn places<'b>(&self, indices: &'b [usize]) -> Cow<'b, [usize]> {
        match self.places {
            Some(_) => indices.iter().map(|index| self.place(*index)).collect(),
            None => indices.into(),
        }
    }

    fn warnings_here(&self, mut warnings: Vec<Warning>) -> Vec<Warning> {
        for warning in &mut warnings {
            warning.party.0 = self.index(warning.party.0);
        }
        warnings
    }

    fn exceeded_here(&self, mut exceeded: Vec<Exceeded>) -> Vec<Exceeded> {
        for one in &mut exceeded {
            one.party.0 = self.index(one.party.0);
        }
        exceeded
    }

    fn index(&self, place: usize) -> usize {
        let index = match self.places {
            Some(places) => places.iter().position(|known| *known == place),
            None => Some(place),
        };
        index.unwrap_or(usize::MAX)
    }

    pub(super) fn reserve(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        amount: Option<Cost>,
        beyond: &[usize],
    ) -> Result<Ticket, Vec<Exceeded>> {
        let (parties, beyond) = (self.all_there(parties), self.places(beyond));
        let reserved = self.books.reserve(now, &parties, amount, &beyond);
        reserved.map_err(|exceeded| self.exceeded_here(exceeded))
    }

    pub(super) fn settle(
        &mut self,
        now: SystemTime,
        ticket: &Ticket,
        spent: Cost,
        unpriced: u64,
    ) -> Vec<Warning> {
        let warnings = self.books.settle(now, ticket, spent, unpriced);
        self.warnings_here(warnings)
    }

    pub(super) fn claims(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        beyond: &[usize],
    ) -> Arc<[Claim]> {
        let (parties, beyond) = (self.all_there(parties), self.places(beyond));
        self.books.claims(now, &parties, &beyond)
    }

    pub(super) fn hear(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        claims: &[Claim],
        balances: &[Balance],
    ) -> Vec<Warning> {
        let parties = self.all_there(parties);
        let warnings = self.books.hear(now, &parties, claims, balances);
        self.warnings_here(warnings)
    }

    pub(super) fn exceeded(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        balances: &[Balance],
        amount: Option<Cost>,
        beyond: &[usize],
    ) -> Vec<Exceeded> {
        let (parties, beyond) = (self.all_there(parties), self.places(beyond));
        let books = &mut self.books;
        let exceeded = books.exceeded(now, &parties, balances, amount, &beyond);
        self.exceeded_here(exceeded)
    }

    pub(super) fn reserve_alone(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        amount: Option<Cost>,
        beyond: &[usize],
        replicas: u64,
    ) -> Result<(), Vec<Exceeded>> {
        let (parties, beyond) = (self.all_there(parties), self.places(beyond));
        let books = &mut self.books;
        let reserved = books.reserve_alone(now, &parties, amount, &beyond, replicas);
        reserved.map_err(|exceeded| self.exceeded_here(exceeded))
    }

    pub(super) fn settle_alone(
        &mut self,
        now: SystemTime,
        parties: &[Party],
        reserved: Cost,
        spent: Cost,
    ) {
        let parties = self.all_there(parties);
        self.books.settle_alone(now, &parties, reserved, spent);
    }

    pub(super) fn charge(
        &mut self,
        now: SystemTime,
        party: &Party,
        moment: SystemTime,
        cost: Option<Cost>,
    ) {
        let party = self.there(party);
        self.books.charge(now, party, moment, cost);
    }

    pub(super) fn level(&mut self, now: SystemTime, index: usize, key: &str) -> Option<Level> {
        let place = self.place(index);
        self.books.level(now, place, key)
    }

    pub(super) fn levels(&mut self, now: SystemTime, index: usize) -> Vec<(Arc<str>, Level)> {
        let place = self.place(index);
        self.books.levels(now, place)
    }

    pub(super) fn warned(&mut self, now: SystemTime, party: &Party) -> Option<Level> {
        let party = self.there(party);
        self.books.warned(now, &party)
    }

    pub(super) fn set_default(&mut self, index: usize, limits: Limits) {
        let place = self.place(index);
        self.books.set_default(place, limits);
    }

    pub(super) fn set_limits(&mut self, index: usize, key: &str, limits: Option<Limits>) {
        let place = self.place(index);
        self.books.set_limits(place, key, limits);
    }

    pub(super) fn reset(&mut self, index: usize, key: &str) {
        let place = self.place(index);
        self.books.reset(place, key);
    }

    pub(super) fn since(&mut self, now: SystemTime) -> Option<SystemTime> {
        self.books.since(now)
    }

    /// Whether the budget of this name, renewed as it is in `other`, is kept here.
    #[cfg(feature = "gateway")]
    pub(super) fn keeps(&self, budget: &super::Budget) -> bool {
        self.books
            .place_of(&budget.name, budget.calendar())
            .is_some()
    }
}

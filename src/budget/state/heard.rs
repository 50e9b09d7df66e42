//! The books beside a store that replicas share: what it was heard to say, and what goes on without it.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Books, Exceeded, Party, Warning,
    book::{Book, has_room},
};
use crate::{
    message::catalog::Cost,
    reserve::{Balance, Claim},
};

impl Books {
    /// What a store that replicas share is asked of these parties. Those of budgets in `beyond` may go beyond their limits.
    pub(in crate::budget) fn claims(
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
    pub(in crate::budget) fn hear(
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
            // Books may have been closed since the claims were made.
            let account = claim.account.strip_prefix(&*book.name);
            let is_same = account.and_then(|rest| rest.strip_prefix('/')) == Some(&**key)
                && book.calendar.name(book.window) == *claim.window;
            if is_same && book.hear(key, *balance) {
                let level = book.level(key);
                let party = (*index, Arc::clone(key));
                warnings.push(Warning { party, level });
            }
        }
        warnings
    }

    /// Why the store has refused, by what it says.
    pub(in crate::budget) fn exceeded(
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
    pub(in crate::budget) fn reserve_alone(
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
    pub(in crate::budget) fn settle_alone(
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
}

impl Book {
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
}

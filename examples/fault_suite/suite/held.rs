//! What a relay has reserved, and what attempts are open on its bills.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use tower_relay::{
    message::Bill,
    reserve::{
        Account, Amounts, Answer, Decision, Levels, Limiter, LocalLimiter, Quota, Settlement,
        Verdict,
    },
};

/// Sees every reservation and every bill of a relay. Clones share what they see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    reservations: Arc<AtomicI64>,
    bills: Arc<Mutex<Vec<Bill>>>,
}

impl Held {
    /// A store for a rate limit, whose reservations are counted.
    pub(crate) fn limiter(&self) -> Arc<dyn Limiter> {
        Arc::new(Counting {
            buckets: LocalLimiter::default(),
            open: Arc::clone(&self.reservations),
        })
    }

    /// Looks at the bill of one more request.
    pub(crate) fn watch(&self, bill: Bill) {
        let mut bills = self.bills.lock().unwrap_or_else(PoisonError::into_inner);
        bills.push(bill);
    }

    /// What is not given back yet, if there is something.
    pub(crate) fn rest(&self) -> Option<String> {
        let reservations = self.reservations.load(Ordering::SeqCst);
        let bills = self.bills.lock().unwrap_or_else(PoisonError::into_inner);
        let open: u32 = bills.iter().map(Bill::open_attempts).sum();
        (reservations != 0 || open != 0)
            .then(|| format!("{reservations} reservations held, {open} attempts open on bills"))
    }

    /// The attempts that stand on bills.
    pub(crate) fn attempts(&self) -> u32 {
        let bills = self.bills.lock().unwrap_or_else(PoisonError::into_inner);
        bills.iter().map(Bill::attempts).sum()
    }
}

/// A store that counts what is reserved and not settled, which it is where less was used than was reserved.
#[derive(Debug)]
struct Counting {
    buckets: LocalLimiter,
    open: Arc<AtomicI64>,
}

impl Limiter for Counting {
    fn reserve(&self, account: &Account, quota: &Quota, amounts: Amounts) -> Answer<Decision> {
        let answer = self.buckets.reserve(account, quota, amounts);
        if let Answer::Now(Some(decision)) = &answer
            && decision.verdict == Verdict::Admitted
        {
            self.open.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }

    fn settle(&self, settlement: &Settlement<'_>) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.buckets.settle(settlement);
    }

    fn levels(&self, account: &Account, quota: &Quota) -> Answer<Levels> {
        self.buckets.levels(account, quota)
    }

    fn reset(&self, account: &Account) -> Answer<()> {
        self.buckets.reset(account)
    }
}

//! What is reserved until it is known what was used.

use std::sync::Arc;

use super::{Account, Amounts, Limiter, Place, Quota, Settlement};

/// Amounts that are reserved with a [`Limiter`] and settled exactly once: by [`settle`](Self::settle) with what was used, or, when it
/// is dropped instead, with nothing.
#[derive(Debug)]
#[must_use = "dropping it gives everything back"]
pub struct Reservation {
    limiter: Arc<dyn Limiter>,
    account: Account,
    quota: Quota,
    place: Place,
    reserved: Amounts,
    is_settled: bool,
}

impl Reservation {
    /// What `limiter` has taken for `account`. `place` is the decision's.
    pub fn new(
        limiter: Arc<dyn Limiter>,
        account: Account,
        quota: Quota,
        reserved: Amounts,
        place: Place,
    ) -> Self {
        Self {
            limiter,
            account,
            quota,
            place,
            reserved,
            is_settled: false,
        }
    }

    /// What is reserved.
    pub fn reserved(&self) -> Amounts {
        self.reserved
    }

    /// Whose it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// By which quota.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// So much was used: what is left over goes back, what is missing is owed.
    pub fn settle(mut self, used: Amounts) {
        self.settle_once(used);
    }

    /// [`settle`](Self::settle), for who wants to know afterwards whose it was.
    pub(crate) fn settle_once(&mut self, used: Amounts) {
        if std::mem::replace(&mut self.is_settled, true) || used == self.reserved {
            return;
        }
        self.limiter.settle(&Settlement {
            account: &self.account,
            quota: &self.quota,
            place: self.place,
            reserved: self.reserved,
            used,
        });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle_once(Amounts::NONE);
    }
}

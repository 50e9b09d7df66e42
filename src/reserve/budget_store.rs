//! What keeps the accounts of budgets that replicas share.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::message::catalog::Cost;

/// A store of what is spent and reserved of budgets, which several replicas share.
///
/// Who spends what in which window is for the replicas to say; the store adds up, and decides all accounts of a request in one step.
pub trait BudgetStore: fmt::Debug + Send + Sync + 'static {
    /// Reserves `amount` of every account, or of none; nothing, and only where there is something left, where the price is not known.
    fn reserve(&self, claims: Arc<[Claim]>, amount: Option<Cost>) -> Asking;

    /// Gives back what was reserved, and charges what was spent.
    ///
    /// Called once for each reservation, perhaps from `Drop`: it neither blocks nor waits.
    fn settle(&self, charge: Charge);
}

/// The future of [`BudgetStore::reserve`].
pub type Asking = Pin<Box<dyn Future<Output = Reserved> + Send>>;

/// One account of a request: whose, of which budget, in which window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The budget and the key.
    pub account: Arc<str>,
    /// The window, by a name that no other has.
    pub window: Arc<str>,
    /// When the window ends, in milliseconds since 1970; 0 for never.
    pub ends: u64,
    /// What may be spent and reserved together; `None` where it may be gone beyond.
    pub limit: Option<Cost>,
}

/// What an account has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// What was spent in its window, by all replicas.
    pub spent: Cost,
    /// What is reserved for requests that have not ended.
    pub reserved: Cost,
    /// How often something was spent whose price is not known.
    pub unpriced: u64,
}

/// What came of a [`BudgetStore::reserve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// It was reserved, and so much is on each account with it.
    Taken {
        /// By which it is found again.
        lease: u64,
        /// In the order of the claims.
        balances: Vec<Balance>,
    },
    /// An account has no room.
    Refused(Vec<Balance>),
    /// The store does not answer.
    Unavailable(Without),
}

/// What holds without the store.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// Everything is admitted.
    Admit,
    /// Nothing is, for so long.
    Refuse(Duration),
    /// One of so many replicas goes on with its share of what was left.
    Share(u64),
}

/// What becomes of a reservation.
pub struct Charge {
    /// Of which accounts it is.
    pub claims: Arc<[Claim]>,
    /// By which it is found; `None` where the store did not make it.
    pub lease: Option<u64>,
    /// What was reserved of each.
    pub reserved: Cost,
    /// What was spent; `None` forgets all that was spent in the window.
    pub spent: Option<Cost>,
    /// How often something was spent whose price is not known.
    pub unpriced: u64,
    /// Is told what is on each account then.
    pub told: Box<dyn FnOnce(Vec<Balance>) + Send + Sync>,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge")
            .field("claims", &self.claims)
            .field("lease", &self.lease)
            .field("reserved", &self.reserved)
            .field("spent", &self.spent)
            .finish_non_exhaustive()
    }
}

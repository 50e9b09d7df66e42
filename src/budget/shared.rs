//! Reserving where replicas share a store.

use std::{sync::Arc, time::SystemTime};

use super::{
    ask::{Asked, Refused},
    layer::Shared,
    pass::Hold,
    state::{Exceeded, Party},
};
use crate::{
    message::catalog::Cost,
    reserve::{BudgetStore, Charge, Claim, Reserved, Without},
};

/// What is reserved with a store.
#[derive(Debug)]
pub(super) struct Stored {
    store: Arc<dyn BudgetStore>,
    parties: Arc<[Party]>,
    claims: Arc<[Claim]>,
    reserved: Cost,
    by: By,
}

/// Who has reserved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Store(u64),
    /// This replica, while the store did not answer.
    Alone,
    /// Nobody.
    Nobody,
}

impl Shared {
    /// Asks the store. What it says is taken down, so that this process knows it, too.
    pub(super) async fn reserve_at(
        &self,
        store: &Arc<dyn BudgetStore>,
        asked: &Asked,
        now: SystemTime,
    ) -> Result<Result<Hold, Vec<Exceeded>>, Refused> {
        let Asked {
            parties, beyond, ..
        } = asked;
        let claims = self.books().claims(now, parties, beyond);
        let hold = |by| {
            Hold::Store(Stored {
                store: Arc::clone(store),
                parties: parties.as_slice().into(),
                claims: Arc::clone(&claims),
                reserved: asked.cost().unwrap_or_default(),
                by,
            })
        };
        let reserved = store.reserve(Arc::clone(&claims), asked.cost()).await;
        Ok(match reserved {
            Reserved::Taken { lease, balances } => {
                let warnings = self.books().hear(now, parties, &claims, &balances);
                self.warn(&warnings);
                Ok(hold(By::Store(lease)))
            }
            Reserved::Refused(balances) => {
                let mut books = self.books();
                let warnings = books.hear(now, parties, &claims, &balances);
                let exceeded = books.exceeded(now, parties, &balances, asked.cost(), beyond);
                drop(books);
                self.warn(&warnings);
                Err(exceeded)
            }
            Reserved::Unavailable(Without::Admit) => Ok(hold(By::Nobody)),
            Reserved::Unavailable(Without::Refuse(wait)) => {
                return Err(Refused::Unavailable { wait });
            }
            Reserved::Unavailable(Without::Share(replicas)) => {
                let mut books = self.books();
                let reserved = books.reserve_alone(now, parties, asked.cost(), beyond, replicas);
                drop(books);
                reserved.map(|()| hold(By::Alone))
            }
        })
    }
}

impl Stored {
    /// What was reserved of every party.
    pub(super) fn amount(&self) -> Cost {
        self.reserved
    }

    /// Has the store charge what was spent, also where it did not answer before.
    pub(super) fn settle(self, shared: &Arc<Shared>, spent: Cost, unpriced: u64) {
        let Self {
            store,
            parties,
            claims,
            reserved,
            by,
        } = self;
        if by == By::Alone {
            let now = shared.now();
            shared.books().settle_alone(now, &parties, reserved, spent);
        }
        let lease = match by {
            By::Store(lease) => Some(lease),
            By::Alone | By::Nobody => None,
        };
        let is_nothing = spent == Cost::ZERO && unpriced == 0;
        if is_nothing && (lease.is_none() || reserved == Cost::ZERO) {
            return;
        }
        let (shared, heard) = (Arc::clone(shared), Arc::clone(&claims));
        store.settle(Charge {
            claims,
            lease,
            reserved,
            spent: Some(spent),
            unpriced,
            told: Box::new(move |balances| {
                let now = shared.now();
                let warnings = shared.books().hear(now, &parties, &heard, &balances);
                shared.warn(&warnings);
            }),
        });
    }
}

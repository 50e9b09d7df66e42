//! What became of requests whose first attempt was slow.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::reserve::Places;

/// What became of requests since the layer was built whose first output was late.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HedgeCounts {
    /// Requests with a second attempt.
    pub hedged: u64,
    /// Of those, the ones that the second attempt answered.
    pub won: u64,
    /// Of those, the ones whose first attempt had failed by then.
    pub saved: u64,
    /// Requests without, as the budget was spent, or the attempts were.
    pub unpaid: u64,
    /// Requests without, as there were as many second attempts as may be.
    pub busy: u64,
    /// Requests without, as there was no other target that could take them.
    pub nowhere: u64,
    /// Second attempts that are under way now, with the first still running.
    pub under_way: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hedged: Counter,
    pub(super) won: Counter,
    pub(super) saved: Counter,
    pub(super) unpaid: Counter,
    pub(super) busy: Counter,
    pub(super) nowhere: Counter,
    pub(super) under_way: Places,
}

/// A count alone: no other memory hangs on it.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn counts(&self) -> HedgeCounts {
        HedgeCounts {
            hedged: self.hedged.get(),
            won: self.won.get(),
            saved: self.saved.get(),
            unpaid: self.unpaid.get(),
            busy: self.busy.get(),
            nowhere: self.nowhere.get(),
            under_way: self.under_way.taken(),
        }
    }
}

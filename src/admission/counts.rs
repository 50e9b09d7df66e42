use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::reserve::Places;

/// What a layer has done so far; see [`AdmissionHandle::counts`](super::AdmissionHandle::counts).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionCounts {
    /// Requests that were let in, at once or after a wait.
    pub admitted: u64,
    /// Requests that were shed when they came: there was no place in line.
    pub shed_full: u64,
    /// Requests that were shed while they waited: one of a higher priority took their place.
    pub shed_displaced: u64,
    /// Requests that were shed because they had waited for too long.
    pub shed_late: u64,
}

/// The sums of all keys.
///
/// Relaxed: each number stands for itself.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) in_flight: AtomicUsize,
    pub(super) waiting: Places,
    pub(super) max_waiting: usize,
    pub(super) admitted: AtomicU64,
    pub(super) full: AtomicU64,
    pub(super) displaced: AtomicU64,
    pub(super) late: AtomicU64,
}

/// One of those who may wait in all, from the time that it joins a line until it is out of it.
#[derive(Debug)]
pub(super) struct Seat(Arc<Totals>);

impl Totals {
    pub(super) fn counts(&self) -> AdmissionCounts {
        AdmissionCounts {
            admitted: self.admitted.load(Relaxed),
            shed_full: self.full.load(Relaxed),
            shed_displaced: self.displaced.load(Relaxed),
            shed_late: self.late.load(Relaxed),
        }
    }

    pub(super) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let is_taken = self.waiting.take(self.max_waiting);
        is_taken.then(|| Seat(Arc::clone(self)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.waiting.give_back();
    }
}

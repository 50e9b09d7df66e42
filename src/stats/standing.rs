//! What whoever chooses an upstream knows of its availability.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Availability, AvailabilityCell};
use crate::sync::atomic::{AtomicU64, Ordering};

/// One that is probing gets a request this often, in milliseconds: enough to be found well again, and no more callers are put at risk.
const PROBE_EVERY_MILLIS: u64 = 1000;

/// One upstream's availability, where it is published, and when it was last sent a probe.
#[derive(Debug)]
pub(crate) struct Standing {
    cell: Option<Arc<AvailabilityCell>>,
    started: Instant,
    /// In milliseconds since `started`: never 0 once there was one.
    probed: AtomicU64,
}

impl Standing {
    /// One of which nothing is published is always available.
    pub(crate) fn new(cell: Option<Arc<AvailabilityCell>>, now: Instant) -> Self {
        Self {
            cell,
            started: now,
            probed: AtomicU64::new(0),
        }
    }

    /// `now` is asked for only where it counts.
    pub(crate) fn availability(&self, now: impl FnOnce() -> Instant) -> Availability {
        match self.cell.as_ref().map(|cell| cell.get()) {
            None | Some(Availability::Available) => Availability::Available,
            Some(other) => other.at(now()),
        }
    }

    /// Whether it is time for a probe, and nobody else sends it.
    pub(crate) fn takes_probe(&self, now: Instant) -> bool {
        let millis = now.saturating_duration_since(self.started).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let last = self.probed.load(Ordering::Relaxed);
        let is_due = last == 0 || millis.saturating_sub(last) >= PROBE_EVERY_MILLIS;
        is_due
            && self
                .probed
                .compare_exchange(last, millis.max(1), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(all(test, loom))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn loom_one_of_two_callers_sends_the_probe() {
        loom::model(|| {
            let start = Instant::now();
            let standing = Arc::new(Standing::new(None, start));
            for round in 1..3 {
                let now = start + Duration::from_millis(round * PROBE_EVERY_MILLIS);
                let other = Arc::clone(&standing);
                let other = loom::thread::spawn(move || other.takes_probe(now));
                let mine = standing.takes_probe(now);
                assert_ne!(other.join().unwrap(), mine);
            }
        });
    }
}

//! Whether an upstream may be chosen.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

/// Whether an upstream takes requests: what breakers publish, and what balancers, splits and fallbacks read.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Availability {
    /// It takes requests.
    #[default]
    Available,
    /// It takes none until `until`, and probes from then on; with `None`, until something else is published.
    Unavailable {
        /// When it may be tried again.
        until: Option<Instant>,
    },
    /// It takes a few requests, to see how it does.
    Probing,
    /// It has recovered, and takes a share that grows from `floor` to all of its load.
    SlowStart {
        /// When it recovered.
        since: Instant,
        /// How long it takes until its share is whole.
        over: Duration,
        /// The share it starts with, in thousandths.
        floor: u16,
    },
}

impl Availability {
    /// The whole share of its load, in thousandths.
    pub const WHOLE: u16 = 1000;

    /// What it has become by `now`: unavailability and slow starts end by themselves.
    #[must_use]
    pub fn at(self, now: Instant) -> Self {
        match self {
            Self::Unavailable { until: Some(until) } if now >= until => Self::Probing,
            Self::SlowStart { since, over, .. } if now.saturating_duration_since(since) >= over => {
                Self::Available
            }
            other => other,
        }
    }

    /// Whether a request may be sent to it at `now`. A probe may still be refused.
    pub fn admits(self, now: Instant) -> bool {
        !matches!(self.at(now), Self::Unavailable { .. })
    }

    /// The share of its ordinary load that it should get at `now`, in thousandths: 0 when unavailable or probing (a probe is
    /// sent by whoever probes, not by weight), [`WHOLE`](Self::WHOLE) when available.
    pub fn weight(self, now: Instant) -> u16 {
        match self.at(now) {
            Self::Available => Self::WHOLE,
            Self::Unavailable { .. } | Self::Probing => 0,
            Self::SlowStart { since, over, floor } => {
                let floor = floor.min(Self::WHOLE);
                let passed = now.saturating_duration_since(since).as_nanos();
                // Less than `over`, or it would be available: no division by zero, and at most what is missing.
                let grown = u128::from(Self::WHOLE - floor) * passed / over.as_nanos().max(1);
                floor + u16::try_from(grown).unwrap_or(0)
            }
        }
    }
}

/// Where one upstream's [`Availability`] is published. Reads are cheap; nothing waits for a reader.
#[derive(Debug)]
pub struct AvailabilityCell(watch::Sender<Availability>);

/// Sees an upstream's [`Availability`] change.
#[derive(Debug, Clone)]
pub struct Subscription(watch::Receiver<Availability>);

impl AvailabilityCell {
    /// Available until something else is published.
    pub fn new() -> Self {
        Self(watch::Sender::new(Availability::Available))
    }

    /// Replaces what was published. Subscribers hear of it where it differs.
    pub fn publish(&self, availability: Availability) {
        self.0
            .send_if_modified(|current| std::mem::replace(current, availability) != availability);
    }

    /// What was published last. [`Availability::at`] tells what it has become.
    pub fn get(&self) -> Availability {
        *self.0.borrow()
    }

    /// Follows it from here on.
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }
}

impl Default for AvailabilityCell {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscription {
    /// What was published last.
    pub fn get(&self) -> Availability {
        *self.0.borrow()
    }

    /// Waits for the next change; `None` when nothing can change any more, as the cell is gone. Changes that follow one another
    /// faster than they are awaited are seen as one. Dropping the future loses none.
    pub async fn changed(&mut self) -> Option<Availability> {
        self.0.changed().await.ok()?;
        Some(*self.0.borrow_and_update())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unavailability_ends_in_a_probe() {
        let now = Instant::now();
        let open = Availability::Unavailable {
            until: Some(now + Duration::from_secs(5)),
        };
        assert!(!open.admits(now + Duration::from_millis(4_999)));
        assert_eq!(open.at(now + Duration::from_secs(5)), Availability::Probing);
        assert!(open.admits(now + Duration::from_secs(5)));
        let forced = Availability::Unavailable { until: None };
        assert!(!forced.admits(now + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn a_slow_start_grows_evenly_to_the_whole() {
        let now = Instant::now();
        let start = Availability::SlowStart {
            since: now,
            over: Duration::from_secs(10),
            floor: 100,
        };
        let weight = |secs| start.weight(now + Duration::from_secs(secs));
        assert_eq!([0, 5, 10, 1_000].map(weight), [100, 550, 1_000, 1_000]);
        assert_eq!(
            start.at(now + Duration::from_secs(10)),
            Availability::Available
        );
    }

    proptest! {
        #[test]
        fn a_weight_never_falls_and_is_at_most_the_whole(over in 0u64..1_000, floor: u16, mut times in prop::collection::vec(0u64..2_000, 2..20)) {
            let now = Instant::now();
            let start = Availability::SlowStart { since: now + Duration::from_millis(500), over: Duration::from_millis(over), floor };
            times.sort_unstable();
            let weights: Vec<_> = times.iter().map(|millis| start.weight(now + Duration::from_millis(*millis))).collect();
            prop_assert!(weights.is_sorted());
            prop_assert!(weights.iter().all(|weight| *weight <= Availability::WHOLE));
        }
    }

    #[tokio::test]
    async fn subscribers_hear_of_changes_only() {
        let cell = AvailabilityCell::new();
        let mut subscription = cell.subscribe();
        cell.publish(Availability::Available);
        let mut next = tokio_test::task::spawn(subscription.changed());
        assert!(next.poll().is_pending());
        cell.publish(Availability::Probing);
        assert!(next.is_woken());
        drop(next);
        assert_eq!(subscription.changed().await, Some(Availability::Probing));
        assert_eq!(cell.get(), Availability::Probing);
        drop(cell);
        assert_eq!(subscription.changed().await, None);
    }
}

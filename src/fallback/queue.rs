//! Waiting for a target to admit, when all are open.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{reserve::Places, stats::Subscription};

/// The longest that a request may wait.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(30);
/// Asked again no sooner, whatever is advised.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// And after this where nothing is advised.
const PAUSE: Duration = Duration::from_secs(1);

/// How many may wait, and how long.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) wait: Duration,
    pub(super) max_waiting: usize,
    waiting: Places,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Queue);

impl Queue {
    pub(super) fn new(wait: Duration, max_waiting: usize) -> Self {
        Self {
            wait,
            max_waiting,
            waiting: Places::default(),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        !self.wait.is_zero()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.taken()
    }

    /// A place, where there is one.
    pub(super) fn enter(&self) -> Option<Place<'_>> {
        self.waiting.take(self.max_waiting).then(|| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.give_back();
    }
}

/// When to ask again, if it is before `end`: after the shortest of the waits that were advised.
pub(super) fn next(now: Instant, advised: Option<Duration>, end: Instant) -> Option<Instant> {
    let at = now.checked_add(advised.unwrap_or(PAUSE).max(MIN_PAUSE))?;
    (at < end).then_some(at)
}

/// Waits until `at`, or until one of these changes.
pub(super) async fn pause(at: Instant, subscriptions: &mut [Subscription]) {
    let mut changes: Vec<Pin<Box<dyn Future<Output = _> + Send + '_>>> = Vec::new();
    for subscription in subscriptions {
        changes.push(Box::pin(subscription.changed()));
    }
    let changed = poll_fn(|cx| {
        let mut changed = changes.iter_mut().map(|change| change.as_mut().poll(cx));
        if changed.any(|change| change.is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    // Either way it is time to ask again.
    let _ = timeout_at(at, changed).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Availability, AvailabilityCell};

    #[test]
    fn places_are_bounded_and_given_back() {
        let queue = Queue::new(MAX_WAIT, 2);
        let places = [queue.enter(), queue.enter()];
        assert!(places.iter().all(Option::is_some));
        assert!(queue.enter().is_none());
        assert_eq!(queue.waiting(), 2);
        drop(places);
        assert_eq!(queue.waiting(), 0);
        assert!(queue.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_at_its_time_or_at_a_change() {
        let start = Instant::now();
        let cells = [AvailabilityCell::new(), AvailabilityCell::new()];
        let mut subscriptions = cells.each_ref().map(AvailabilityCell::subscribe);
        let at = start + Duration::from_secs(5);
        pause(at, &mut subscriptions).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));

        let change = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cells[1].publish(Availability::Probing);
        };
        let at = start + Duration::from_secs(60);
        tokio::join!(pause(at, &mut subscriptions), change);
        assert_eq!(start.elapsed(), Duration::from_secs(6));
    }

    #[test]
    fn nobody_is_asked_in_a_loop_or_after_the_end() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        assert_eq!(next(now, Some(Duration::ZERO), at(60)), Some(at(50)));
        assert_eq!(next(now, Some(Duration::ZERO), at(50)), None);
        assert_eq!(next(now, None, at(5_000)), Some(at(1_000)));
        assert_eq!(next(now, Some(Duration::MAX), at(5_000)), None);
    }
}

//! Who waits for room.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    reserve::Account,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A line for each key, first come, first served, so that no key waits for another. Bounded in all and by key.
#[derive(Debug)]
pub(super) struct Queue {
    lines: Mutex<HashMap<Account, VecDeque<Arc<Notify>>>>,
    /// How many wait, so that requests pass without the lock while nobody does. Relaxed: who reads it late is as one who came a moment
    /// earlier, before the other had to wait. Who gives something back has to read it after that, not before: then either it sees who
    /// waits, or who waits sees what was given back, by the lock that the limiter takes for both.
    waiting: AtomicUsize,
    max: usize,
    max_per_key: usize,
}

/// A place in a line. Dropping it leaves the line, and lets the next one know.
#[derive(Debug)]
pub(super) struct Place {
    queue: Arc<Queue>,
    account: Account,
    notify: Arc<Notify>,
}

impl Queue {
    pub(super) fn new(max: usize, max_per_key: usize) -> Self {
        Self {
            lines: Mutex::default(),
            waiting: AtomicUsize::new(0),
            max,
            max_per_key,
        }
    }

    /// How many may wait, in all and of one key.
    pub(super) fn bounds(&self) -> (usize, usize) {
        (self.max, self.max_per_key)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether someone stands in line for `account`, whom nobody may overtake.
    pub(super) fn has(&self, account: &Account) -> bool {
        self.waiting() > 0 && self.lock().contains_key(account)
    }

    /// A place at the end of the line; `None` where there is no room.
    pub(super) fn join(self: &Arc<Self>, account: &Account) -> Option<Place> {
        let mut lines = self.lock();
        let in_line = lines.get(account).map_or(0, VecDeque::len);
        if self.waiting() >= self.max || in_line >= self.max_per_key {
            return None;
        }
        let notify = Arc::new(Notify::new());
        let line = lines.entry(account.clone()).or_default();
        line.push_back(Arc::clone(&notify));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Some(Place {
            queue: Arc::clone(self),
            account: account.clone(),
            notify,
        })
    }

    /// There may be room for the first in line.
    pub(super) fn nudge(&self, account: &Account) {
        if self.waiting() > 0
            && let Some(first) = self.lock().get(account).and_then(VecDeque::front)
        {
            first.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Account, VecDeque<Arc<Notify>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn is_first(&self) -> bool {
        let lines = self.queue.lock();
        let first = lines.get(&self.account).and_then(VecDeque::front);
        first.is_some_and(|first| Arc::ptr_eq(first, &self.notify))
    }

    /// Ready when it may be worth asking: one is the first, or something was given back.
    pub(super) async fn called(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        let Some(line) = lines.get_mut(&self.account) else {
            return;
        };
        line.retain(|other| !Arc::ptr_eq(other, &self.notify));
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
        match line.front() {
            Some(next) => next.notify_one(),
            None => {
                lines.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn account(name: &str) -> Account {
        Account::new(Key::named("test", name))
    }

    #[test]
    fn places_are_bounded_in_all_and_by_key_and_leave_no_trace() {
        let queue = Arc::new(Queue::new(3, 2));
        let first = queue.join(&account("a")).unwrap();
        let second = queue.join(&account("a")).unwrap();
        assert!(queue.join(&account("a")).is_none());
        let other = queue.join(&account("b")).unwrap();
        assert!(queue.join(&account("c")).is_none());
        assert!(first.is_first() && !second.is_first() && other.is_first());
        drop(first);
        assert!(second.is_first());
        drop((second, other));
        assert_eq!(queue.waiting(), 0);
        assert!(queue.lock().is_empty());
        assert!(!queue.has(&account("a")));
    }

    #[cfg(loom)]
    #[test]
    fn loom_who_comes_finds_what_was_given_back_or_is_called() {
        use futures_util::FutureExt;

        loom::model(|| {
            let queue = Arc::new(Queue::new(9, 9));
            // The limiter, of which something is given back.
            let room = Arc::new(Mutex::new(false));
            let (nudging, giving) = (Arc::clone(&queue), Arc::clone(&room));
            let giving = loom::thread::spawn(move || {
                *giving.lock().unwrap() = true;
                nudging.nudge(&account("a"));
            });
            let place = queue.join(&account("a")).unwrap();
            let found = *room.lock().unwrap();
            giving.join().unwrap();
            assert!(found || place.called().now_or_never().is_some());
        });
    }

    #[tokio::test]
    async fn who_becomes_the_first_is_called_whoever_leaves() {
        let queue = Arc::new(Queue::new(9, 9));
        let places: Vec<_> = (0..3).filter_map(|_| queue.join(&account("a"))).collect();
        let [first, second, third] = <[Place; 3]>::try_from(places).unwrap();
        drop(second);
        drop(first);
        third.called().await;
        assert!(third.is_first());
    }
}

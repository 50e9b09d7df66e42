//! How often one request may be sent, by all layers together.

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;

use crate::sync::atomic::{AtomicU32, Ordering};

/// How many attempts one request may yet make, whichever layer makes them.
///
/// Stands in a request's extensions: the outermost layer that may send the request again puts it there, and those within draw on the
/// same. What is counted are the attempts beyond the first, so that layers that nest do not count one attempt twice. Clones share
/// the count.
///
/// ```
/// use tower_relay::reserve::AttemptLimit;
///
/// let limit = AttemptLimit::new(3);
/// assert!(limit.take());
/// assert!(limit.clone().take());
/// assert!(!limit.take());
/// ```
#[derive(Debug, Clone)]
pub struct AttemptLimit(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    left: AtomicU32,
    aside: AtomicU32,
    /// The names of whom the request was given to. There are no more than attempts, times the layers that choose.
    been: Mutex<Vec<Arc<str>>>,
}

/// An attempt that is kept for somebody, until it is [spent](Self::spend): one that is dropped instead may be taken again.
#[derive(Debug)]
#[must_use = "dropping it gives the attempt back"]
pub struct SetAside {
    limit: Option<AttemptLimit>,
}

impl AttemptLimit {
    /// At most `total` attempts, the first one among them. Zero is taken as one.
    pub fn new(total: u32) -> Self {
        Self(Arc::new(Counts {
            left: AtomicU32::new(total.saturating_sub(1)),
            aside: AtomicU32::new(0),
            been: Mutex::default(),
        }))
    }

    /// The limit among a request's extensions.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Takes one more attempt; `false` where none is left.
    pub fn take(&self) -> bool {
        // A count alone: no other memory hangs on it.
        let taken = self
            .0
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        taken.is_ok()
    }

    /// Gives back an attempt that was taken and not made.
    pub fn give_back(&self) {
        self.0.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one more attempt to make it later, elsewhere, so that those further in leave it; `None` where none is left.
    pub fn set_aside(&self) -> Option<SetAside> {
        self.take().then(|| {
            self.0.aside.fetch_add(1, Ordering::Relaxed);
            SetAside {
                limit: Some(self.clone()),
            }
        })
    }

    /// Whether an attempt is set aside: if this one fails, somebody further out has somewhere else to go.
    pub fn is_set_aside(&self) -> bool {
        self.0.aside.load(Ordering::Relaxed) > 0
    }

    /// Notes that an attempt is made at the target called `name`, so that another is made elsewhere.
    #[cfg(feature = "upstream")]
    pub(crate) fn note_at(&self, name: &Arc<str>) {
        let mut been = self.been();
        if !been.contains(name) {
            been.push(Arc::clone(name));
        }
    }

    /// Whether an attempt was made at the target called `name`.
    #[cfg(feature = "upstream")]
    pub(crate) fn has_been_at(&self, name: &Arc<str>) -> bool {
        self.been().contains(name)
    }

    #[cfg(feature = "upstream")]
    fn been(&self) -> std::sync::MutexGuard<'_, Vec<Arc<str>>> {
        self.0.been.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more attempts may be made.
    pub fn left(&self) -> u32 {
        self.0.left.load(Ordering::Relaxed)
    }
}

impl SetAside {
    /// The attempt is made.
    pub fn spend(mut self) {
        if let Some(limit) = self.limit.take() {
            limit.0.aside.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        if let Some(limit) = self.limit.take() {
            limit.0.aside.fetch_sub(1, Ordering::Relaxed);
            limit.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_first_attempt_is_never_counted() {
        assert_eq!(AttemptLimit::new(3).left(), 2);
        assert!(!AttemptLimit::new(1).take());
        assert!(!AttemptLimit::new(0).take());
    }

    #[test]
    fn what_is_given_back_may_be_taken_again() {
        let limit = AttemptLimit::new(2);
        assert!(limit.take());
        limit.give_back();
        assert!(limit.take());
        assert!(!limit.take());
    }

    #[test]
    fn what_is_set_aside_is_left_alone_until_it_is_given_back() {
        let limit = AttemptLimit::new(2);
        let aside = limit.set_aside().unwrap();
        assert!(!limit.take() && limit.set_aside().is_none());
        assert!(limit.is_set_aside());
        drop(aside);
        assert!(!limit.is_set_aside());
        limit.set_aside().unwrap().spend();
        assert!(!limit.is_set_aside() && !limit.take());
    }

    #[cfg(loom)]
    #[test]
    fn loom_an_attempt_is_made_once_or_left() {
        loom::model(|| {
            let limit = AttemptLimit::new(2);
            let (leaving, spending) = (limit.clone(), limit.clone());
            let leaving = loom::thread::spawn(move || drop(leaving.set_aside()));
            let spending = loom::thread::spawn(move || {
                let aside = spending.set_aside().map(SetAside::spend);
                u32::from(aside.is_some())
            });
            let mine = u32::from(limit.take());
            leaving.join().unwrap();
            assert_eq!(spending.join().unwrap() + mine + limit.left(), 1);
            assert!(!limit.is_set_aside());
        });
    }

    #[test]
    fn threads_take_no_more_than_there_is() {
        let limit = AttemptLimit::new(101);
        let taken: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).filter(|_| limit.take()).count()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }
}

//! How often one request may be sent, by all layers together.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::Extensions;

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
pub struct AttemptLimit(Arc<AtomicU32>);

impl AttemptLimit {
    /// At most `total` attempts, the first one among them. Zero is taken as one.
    pub fn new(total: u32) -> Self {
        Self(Arc::new(AtomicU32::new(total.saturating_sub(1))))
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
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        taken.is_ok()
    }

    /// Gives back an attempt that was taken and not made.
    pub fn give_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many more attempts may be made.
    pub fn left(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
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

//! How many of something there may be at once.

use crate::sync::atomic::{AtomicUsize, Ordering};

/// How many places are taken, of as many as whoever takes one says.
///
/// Relaxed: a count alone, on which no other memory hangs.
#[derive(Debug, Default)]
pub(crate) struct Places(AtomicUsize);

impl Places {
    /// Takes a place, to be [given back](Self::give_back); `false` where `max` are taken.
    pub(crate) fn take(&self, max: usize) -> bool {
        let more = |taken| (taken < max).then_some(taken + 1);
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        before.is_ok()
    }

    pub(crate) fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, loom))]
mod tests {
    use std::sync::Arc;

    use loom::{model, thread};

    use super::*;

    #[test]
    fn loom_no_more_places_are_taken_than_there_are() {
        model(|| {
            let places = Arc::new(Places::default());
            places.take(2);
            let takers = [(); 2].map(|()| {
                let places = Arc::clone(&places);
                thread::spawn(move || usize::from(places.take(2)))
            });
            places.give_back();
            let taken: usize = takers.map(|taker| taker.join().unwrap()).iter().sum();
            assert!((1..=2).contains(&taken), "{taken}");
            assert_eq!(places.taken(), taken);
        });
    }
}

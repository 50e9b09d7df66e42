//! What layers did with a request on its way.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Extensions;
use tokio::time::Instant;

/// What layers did with one request: how long it waited, how often it was sent. Stands in the request's extensions, where a layer that
/// wants to know put it ([`Trail::of`]); layers further in write into it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Trail(Arc<Steps>);

/// Counts alone: no other memory hangs on them.
#[derive(Debug, Default)]
struct Steps {
    queued_nanos: AtomicU64,
    sent: AtomicU32,
    retried: AtomicU32,
    fell_back: AtomicU32,
    first_sent: OnceLock<Instant>,
}

/// A wait, which ends when this is dropped.
#[derive(Debug)]
#[must_use = "dropped at once it is no wait"]
pub struct Wait {
    trail: Trail,
    since: Instant,
}

impl Trail {
    /// The trail among a request's extensions, put there if there is none.
    pub fn of(extensions: &mut Extensions) -> Self {
        extensions.get_or_insert_default::<Self>().clone()
    }

    /// The trail among a request's extensions.
    pub fn find(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Notes that the request waits from now on, in line for room: where somebody keeps its trail.
    pub fn wait(extensions: &Extensions) -> Option<Wait> {
        Self::find(extensions).map(|trail| Wait {
            trail: trail.clone(),
            since: Instant::now(),
        })
    }

    /// Notes that it is sent to an upstream.
    pub fn sent(&self) {
        self.0.sent.fetch_add(1, Relaxed);
        self.0.first_sent.get_or_init(Instant::now);
    }

    /// Notes that it is sent once more, to the same upstream.
    pub fn retried(&self) {
        self.0.retried.fetch_add(1, Relaxed);
    }

    /// Notes that it goes on to another upstream, as one failed.
    pub fn fell_back(&self) {
        self.0.fell_back.fetch_add(1, Relaxed);
    }

    /// How long it has waited in line, all waits together.
    pub fn queued(&self) -> Duration {
        Duration::from_nanos(self.0.queued_nanos.load(Relaxed))
    }

    /// How often it was sent to an upstream.
    pub fn attempts(&self) -> u32 {
        self.0.sent.load(Relaxed)
    }

    /// How often it was sent once more to the same upstream.
    pub fn retries(&self) -> u32 {
        self.0.retried.load(Relaxed)
    }

    /// How often it went on to another upstream.
    pub fn fallbacks(&self) -> u32 {
        self.0.fell_back.load(Relaxed)
    }

    /// When it was first sent to an upstream.
    pub fn first_sent(&self) -> Option<Instant> {
        self.0.first_sent.get().copied()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.trail.0.queued_nanos.fetch_add(nanos, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_counts_when_it_is_over_and_nowhere_when_nobody_asks() {
        let mut extensions = Extensions::new();
        assert!(Trail::wait(&extensions).is_none());
        let trail = Trail::of(&mut extensions);
        for _ in 0..2 {
            let wait = Trail::wait(&extensions);
            tokio::time::advance(Duration::from_millis(5)).await;
            drop(wait);
        }
        assert_eq!(trail.queued(), Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_time_it_was_sent_is_kept() {
        let trail = Trail::default();
        let began = Instant::now();
        trail.clone().sent();
        tokio::time::advance(Duration::from_secs(1)).await;
        trail.sent();
        assert_eq!((trail.attempts(), trail.first_sent()), (2, Some(began)));
    }
}

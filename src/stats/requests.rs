//! What became of requests, as their callers saw it.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    Histogram, Percentiles,
    ring::{Content, Ring},
};

/// What became of a request, with all its attempts.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestEnd {
    /// It was answered, in full.
    Successful,
    /// It was not answered, or its answer broke, for a fault of an upstream's or of the way there.
    Failed,
    /// A layer of this crate refused it: a limit, a budget, no room, no permission.
    Rejected,
    /// The request itself was at fault: malformed, too long for its model, refused for its content.
    Invalid,
    /// The caller left before the end.
    Cancelled,
}

/// Requests by what became of them.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RequestCounts {
    /// All that have ended.
    pub total: u64,
    /// [Answered](RequestEnd::Successful).
    pub successful: u64,
    /// [Not answered](RequestEnd::Failed).
    pub failed: u64,
    /// [Refused here](RequestEnd::Rejected).
    pub rejected: u64,
    /// [At fault themselves](RequestEnd::Invalid).
    pub invalid: u64,
    /// [Left by their callers](RequestEnd::Cancelled).
    pub cancelled: u64,
    /// The successful among the successful and the failed, 0 to 1; `None` where there are none.
    pub success_rate: Option<f64>,
}

/// Requests as their callers saw them: counts since the start, and sliding windows of counts and latency.
#[derive(Debug)]
pub struct Requests {
    in_flight: AtomicU64,
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    since_start: Tally,
    tally: Ring<Tally>,
    first_token: Ring<Histogram>,
    total: Ring<Histogram>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    successful: u64,
    failed: u64,
    rejected: u64,
    invalid: u64,
    cancelled: u64,
}

/// What [`Requests`] held at one moment.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RequestsSnapshot {
    /// Requests that have come and not ended.
    pub in_flight: u64,
    /// Since the start.
    pub since_start: RequestCounts,
    /// Within the window.
    pub recent: RequestCounts,
    /// Time to the first token of those answered in a stream, within the window.
    pub first_token: Percentiles,
    /// Time to the end of those answered, within the window.
    pub total: Percentiles,
}

/// A request that has come: one that is dropped without an end was left by its caller.
#[derive(Debug)]
#[must_use = "dropped it counts as left by its caller"]
pub struct OpenRequest {
    stats: super::Stats,
    started: Instant,
    ended: bool,
}

impl Requests {
    pub(super) fn new(now: Instant, window: Duration) -> Self {
        Self {
            in_flight: AtomicU64::new(0),
            windows: Mutex::new(Windows {
                since_start: Tally::default(),
                tally: Ring::new(now, window),
                first_token: Ring::new(now, window),
                total: Ring::new(now, window),
            }),
        }
    }

    /// What is known at `now`. All of it agrees, but for the requests in flight.
    pub fn snapshot(&self, now: Instant) -> RequestsSnapshot {
        let windows = self.lock();
        let since_start = windows.since_start;
        let mut recent = Tally::default();
        windows
            .tally
            .within(now)
            .for_each(|slice| recent.merge(slice));
        let [first_token, total] = [&windows.first_token, &windows.total].map(|ring| {
            let mut sum = Histogram::default();
            ring.within(now).for_each(|slice| sum.merge(slice));
            sum
        });
        drop(windows);
        RequestsSnapshot {
            in_flight: self.in_flight.load(Relaxed),
            since_start: since_start.counts(),
            recent: recent.counts(),
            first_token: first_token.percentiles(),
            total: total.percentiles(),
        }
    }

    fn record(&self, now: Instant, end: RequestEnd, spans: Option<(Option<Duration>, Duration)>) {
        let mut windows = self.lock();
        windows.since_start.add(end);
        if let Some(slice) = windows.tally.at(now) {
            slice.add(end);
        }
        if let Some((first_token, total)) = spans {
            if let (Some(span), Some(slice)) = (first_token, windows.first_token.at(now)) {
                slice.record(span);
            }
            if let Some(slice) = windows.total.at(now) {
                slice.record(total);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenRequest {
    pub(super) fn new(stats: super::Stats, now: Instant) -> Self {
        stats.requests().in_flight.fetch_add(1, Relaxed);
        Self {
            stats,
            started: now,
            ended: false,
        }
    }

    /// When it came.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The request has ended at `now`. How long a successful one took is counted too: to its end, and, where it was streamed, to its
    /// first token.
    pub fn end(mut self, now: Instant, end: RequestEnd, first_token: Option<Instant>) {
        self.ended = true;
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let spans = (end == RequestEnd::Successful).then(|| (first_token.map(since), since(now)));
        self.stats.requests().record(now, end, spans);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let requests = self.stats.requests();
        requests.in_flight.fetch_sub(1, Relaxed);
        if !self.ended {
            requests.record(Instant::now(), RequestEnd::Cancelled, None);
        }
    }
}

impl RequestEnd {
    /// As a label: lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Invalid => "invalid",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Tally {
    fn add(&mut self, end: RequestEnd) {
        *match end {
            RequestEnd::Successful => &mut self.successful,
            RequestEnd::Failed => &mut self.failed,
            RequestEnd::Rejected => &mut self.rejected,
            RequestEnd::Invalid => &mut self.invalid,
            RequestEnd::Cancelled => &mut self.cancelled,
        } += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.successful += other.successful;
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.invalid += other.invalid;
        self.cancelled += other.cancelled;
    }

    fn counts(self) -> RequestCounts {
        let Self {
            successful,
            failed,
            rejected,
            invalid,
            cancelled,
        } = self;
        RequestCounts {
            total: successful + failed + rejected + invalid + cancelled,
            successful,
            failed,
            rejected,
            invalid,
            cancelled,
            success_rate: super::outcomes::ratio(successful, successful + failed),
        }
    }
}

impl Content for Tally {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Stats, *};

    #[tokio::test(start_paused = true)]
    async fn each_request_counts_once_and_the_window_slides() {
        let stats = Stats::new(Duration::from_secs(10), 2);
        let open = || stats.open_request(Instant::now());
        let (good, bad, left) = (open(), open(), open());
        assert_eq!(stats.requests().snapshot(Instant::now()).in_flight, 3);
        tokio::time::advance(Duration::from_secs(1)).await;
        let now = Instant::now();
        good.end(now, RequestEnd::Successful, Some(now));
        bad.end(now, RequestEnd::Failed, None);
        drop(left);

        let seen = stats.requests().snapshot(now);
        let counts = seen.since_start;
        assert_eq!(seen.in_flight, 0);
        assert_eq!(counts, seen.recent);
        assert_eq!((counts.total, counts.cancelled), (3, 1));
        assert_eq!(counts.success_rate, Some(0.5));
        assert_eq!((seen.total.count, seen.first_token.count), (1, 1));

        let later = stats.requests().snapshot(now + Duration::from_secs(11));
        assert_eq!(later.since_start, counts);
        assert_eq!(later.recent, RequestCounts::default());
        assert_eq!(later.total.p99, None);
    }
}

//! How one model does at one upstream.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use super::{Histogram, Outcomes, Percentiles, Verdict, ring::Ring};

/// Which span of an attempt was measured.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Latency {
    /// Until the head of the answer.
    Head,
    /// Until the first token of a stream.
    FirstToken,
    /// Until the answer's end.
    Total,
}

/// All that is known of an attempt once it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How it ended.
    pub verdict: Verdict,
    /// From its start to the head of the answer.
    pub head: Option<Duration>,
    /// From its start to the first token of a stream.
    pub first_token: Option<Duration>,
    /// From its start to its end.
    pub total: Option<Duration>,
}

/// Attempts since the series began, which no window forgets.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// How they ended.
    pub outcomes: Outcomes,
    /// Requests that were refused here and never sent.
    pub rejected: u64,
}

/// The sliding windows of one model at one upstream.
#[derive(Debug)]
pub struct Series {
    windows: Mutex<Windows>,
    rejected: AtomicU64,
}

#[derive(Debug)]
struct Windows {
    outcomes: Ring<Outcomes>,
    head: Ring<Histogram>,
    first_token: Ring<Histogram>,
    total: Ring<Histogram>,
    since_start: Outcomes,
    last: Instant,
    /// By [`Latency`].
    quantiles: [Option<Quantile>; 3],
}

/// A quantile that need not be reckoned again for a while.
#[derive(Debug, Clone, Copy)]
struct Quantile {
    at: Instant,
    share: f64,
    count: u64,
    span: Option<Duration>,
}

/// For how long a [quantile](Series::recent_quantile) holds.
const FRESH: Duration = Duration::from_secs(1);

/// What a [`Series`] held at one moment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesSnapshot {
    /// The upstream.
    pub upstream: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// Attempts within the window.
    pub outcomes: Outcomes,
    /// Attempts since the start.
    pub totals: Totals,
    /// Successes among the successes and failures within the window.
    pub success_rate: Option<f64>,
    /// Time to the head, within the window.
    pub head: Percentiles,
    /// Time to the first token, within the window.
    pub first_token: Percentiles,
    /// Time to the end, within the window.
    pub total: Percentiles,
}

impl Totals {
    pub(super) fn merge(&mut self, other: &Self) {
        self.outcomes.merge(&other.outcomes);
        self.rejected += other.rejected;
    }
}

impl Series {
    /// Windows of this length, of which nothing is known yet.
    pub fn new(now: Instant, window: Duration) -> Self {
        Self {
            windows: Mutex::new(Windows {
                outcomes: Ring::new(now, window),
                head: Ring::new(now, window),
                first_token: Ring::new(now, window),
                total: Ring::new(now, window),
                since_start: Outcomes::default(),
                last: now,
                quantiles: [None; 3],
            }),
            rejected: AtomicU64::new(0),
        }
    }

    /// Counts an attempt that ended at `now`.
    pub fn record(&self, now: Instant, verdict: Verdict) {
        self.lock().record(now, verdict);
    }

    /// Counts a span that was measured at `now`.
    pub fn observe(&self, now: Instant, latency: Latency, span: Duration) {
        self.lock().observe(now, latency, span);
    }

    /// Counts an attempt that ended at `now` with all its spans, at once.
    pub fn record_sample(&self, now: Instant, sample: &Sample) {
        let mut windows = self.lock();
        windows.record(now, sample.verdict);
        let spans = [
            (Latency::Head, sample.head),
            (Latency::FirstToken, sample.first_token),
            (Latency::Total, sample.total),
        ];
        for (latency, span) in spans {
            if let Some(span) = span {
                windows.observe(now, latency, span);
            }
        }
    }

    /// Counts a request that was refused here and never sent.
    pub fn reject(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    /// Attempts within the window.
    pub fn outcomes(&self, now: Instant) -> Outcomes {
        self.lock().outcomes(now)
    }

    /// Attempts since the start.
    pub fn totals(&self) -> Totals {
        Totals {
            outcomes: self.lock().since_start,
            rejected: self.rejected.load(Relaxed),
        }
    }

    /// The spans within the window. Costs a copy of up to ten times 368 counts.
    pub fn latency(&self, now: Instant, latency: Latency) -> Histogram {
        self.lock().latency(now, latency)
    }

    /// The span that this share of those within the window, 0 to 1, does not exceed.
    pub fn quantile(&self, now: Instant, latency: Latency, share: f64) -> Option<Duration> {
        self.latency(now, latency).quantile(share)
    }

    /// How many spans there are within the window, and the one that this share of them, 0 to 1, does not exceed; as of a second ago at
    /// most, and so at next to no cost.
    pub fn recent_quantile(
        &self,
        now: Instant,
        latency: Latency,
        share: f64,
    ) -> (u64, Option<Duration>) {
        let mut windows = self.lock();
        let known = windows.quantiles.get(latency as usize).copied().flatten();
        let is_fresh = |known: &Quantile| {
            now.saturating_duration_since(known.at) < FRESH
                && known.share.to_bits() == share.to_bits()
        };
        let quantile = known.filter(is_fresh).unwrap_or_else(|| {
            let spans = windows.latency(now, latency);
            let quantile = Quantile {
                at: now,
                share,
                count: spans.len(),
                span: spans.quantile(share),
            };
            if let Some(known) = windows.quantiles.get_mut(latency as usize) {
                *known = Some(quantile);
            }
            quantile
        });
        (quantile.count, quantile.span)
    }

    /// Forgets the windows, as after an upstream was replaced. What was counted since the start stays.
    pub fn clear_windows(&self) {
        let mut windows = self.lock();
        windows.outcomes.clear();
        windows.head.clear();
        windows.first_token.clear();
        windows.total.clear();
        windows.quantiles = [None; 3];
    }

    /// When something was last recorded, or when it began.
    pub(super) fn last_used(&self) -> Instant {
        self.lock().last
    }

    /// What it holds, and its spans: to the head, to the first token, to the end.
    pub(super) fn snapshot(
        &self,
        now: Instant,
        upstream: Arc<str>,
        model: Arc<str>,
    ) -> (SeriesSnapshot, [Histogram; 3]) {
        // One lock, so that the parts agree; the percentiles are reckoned after it.
        let windows = self.lock();
        let outcomes = windows.outcomes(now);
        let since_start = windows.since_start;
        let latency = [Latency::Head, Latency::FirstToken, Latency::Total]
            .map(|latency| windows.latency(now, latency));
        drop(windows);
        let [head, first_token, total] = latency.each_ref().map(Histogram::percentiles);
        let snapshot = SeriesSnapshot {
            upstream,
            model,
            outcomes,
            totals: Totals {
                outcomes: since_start,
                rejected: self.rejected.load(Relaxed),
            },
            success_rate: outcomes.success_rate(),
            head,
            first_token,
            total,
        };
        (snapshot, latency)
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    fn record(&mut self, now: Instant, verdict: Verdict) {
        self.last = self.last.max(now);
        self.since_start.add(verdict);
        if let Some(outcomes) = self.outcomes.at(now) {
            outcomes.add(verdict);
        }
    }

    fn observe(&mut self, now: Instant, latency: Latency, span: Duration) {
        self.last = self.last.max(now);
        let ring = match latency {
            Latency::Head => &mut self.head,
            Latency::FirstToken => &mut self.first_token,
            Latency::Total => &mut self.total,
        };
        if let Some(histogram) = ring.at(now) {
            histogram.record(span);
        }
    }

    fn outcomes(&self, now: Instant) -> Outcomes {
        let mut sum = Outcomes::default();
        for slice in self.outcomes.within(now) {
            sum.merge(slice);
        }
        sum
    }

    fn latency(&self, now: Instant, latency: Latency) -> Histogram {
        let ring = match latency {
            Latency::Head => &self.head,
            Latency::FirstToken => &self.first_token,
            Latency::Total => &self.total,
        };
        let mut sum = Histogram::default();
        for slice in ring.within(now) {
            sum.merge(slice);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_second_old_at_most() {
        let now = Instant::now();
        let series = Series::new(now, Duration::from_secs(60));
        let median = |after| {
            let (count, span) = series.recent_quantile(now + after, Latency::Head, 0.5);
            (
                count,
                span.is_some_and(|span| span > Duration::from_millis(500)),
            )
        };
        let record = |millis| series.observe(now, Latency::Head, Duration::from_millis(millis));
        record(100);
        assert_eq!(median(Duration::ZERO), (1, false));
        record(1000);
        record(1000);
        assert_eq!(median(Duration::from_millis(999)), (1, false));
        assert_eq!(median(Duration::from_secs(1)), (3, true));
        assert_eq!(series.recent_quantile(now, Latency::Total, 0.5), (0, None));
    }

    #[test]
    fn the_window_slides_and_the_totals_stay() {
        let now = Instant::now();
        let series = Series::new(now, Duration::from_secs(60));
        let sample = Sample {
            verdict: Verdict::Success,
            head: Some(Duration::from_millis(100)),
            first_token: None,
            total: Some(Duration::from_secs(2)),
        };
        series.record_sample(now, &sample);
        series.record(now + Duration::from_secs(30), Verdict::Failure);
        series.reject();
        let at = |secs| now + Duration::from_secs(secs);
        assert_eq!(series.outcomes(at(59)).failure_rate(), Some(0.5));
        assert_eq!(series.outcomes(at(60)).failure_rate(), Some(1.0));
        assert_eq!(series.outcomes(at(90)).failure_rate(), None);
        assert_eq!(series.latency(at(59), Latency::Head).len(), 1);
        assert!(series.latency(at(59), Latency::FirstToken).is_empty());
        assert_eq!(series.quantile(at(60), Latency::Total, 0.5), None);
        let totals = series.totals();
        assert_eq!((totals.outcomes.total(), totals.rejected), (2, 1));
        series.clear_windows();
        assert_eq!(series.outcomes(at(31)).total(), 0);
        assert_eq!(series.totals(), totals);
    }
}

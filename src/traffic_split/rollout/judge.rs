//! Whether a target keeps to a limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    evidence::Evidence,
    limits::{CostLimit, ErrorLimit, Limits, Metric, TimeLimit},
    view::{Answer, Sample, View, cost_as_span},
};

/// Attempts of the baseline below which its rates are not compared with.
const MIN_OUTCOMES: u64 = 100;

/// Standard errors by which what is known of the baseline may be off: it is taken to be as bad as that, so that its own luck is not
/// held against the target.
const MARGIN: f64 = 2.0;

/// What the buckets of a histogram may be off by, in percent.
const BUCKET_PERCENT: u128 = 4;

/// How sure it must be that the baseline exceeds a limit too, and for how long that is held to be so.
const BASELINE_ALPHA: f64 = 0.01;
const SUFFERS_FOR: Duration = Duration::from_secs(60);

/// What the targets are held against: the limits, and how the baseline did of late. Fixed before the observations that it is used
/// for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reference {
    bounds: [Bound; Metric::ALL.len()],
}

/// What one observation is held against.
#[derive(Debug, Clone, Copy, Default)]
enum Bound {
    /// Nothing is known to compare with.
    #[default]
    Unknown,
    /// This share of hits is allowed.
    Share(f64),
    /// What is above this is a hit.
    Above(Duration),
}

impl Reference {
    pub(super) fn new(limits: &Limits, baseline: &View, now: Instant) -> Self {
        let bounds = Metric::ALL.map(|metric| {
            let over_baseline = |percent| over_baseline(baseline, metric, percent, now);
            let time = |limit| match limit {
                TimeLimit::Off => None,
                TimeLimit::AtMost(span) => Some(span),
                TimeLimit::OverBaselinePercent(percent) => over_baseline(percent),
            };
            let above = match metric {
                Metric::ErrorRate => return share(limits.error_rate, baseline, metric, now),
                Metric::Rejected => return share(limits.rejected, baseline, metric, now),
                Metric::P95 => time(limits.p95),
                Metric::P99 => time(limits.p99),
                Metric::FirstToken => time(limits.first_token),
                Metric::Cost => match limits.cost {
                    CostLimit::Off => None,
                    CostLimit::AtMost(cost) => Some(cost_as_span(cost)),
                    CostLimit::OverBaselinePercent(percent) => over_baseline(percent),
                },
            };
            above.map_or(Bound::Unknown, Bound::Above)
        });
        Self { bounds }
    }

    /// Whether `sample` is a hit, and the share of hits that is allowed.
    fn observe(&self, metric: Metric, sample: &Sample) -> Option<(bool, f64)> {
        let place = Metric::ALL.iter().position(|one| *one == metric)?;
        match (self.bounds.get(place)?, metric) {
            (Bound::Unknown, _) => None,
            (Bound::Share(allowed), Metric::Rejected) => match sample.result {
                Answer::Failed => None,
                other => Some((other == Answer::Rejected, *allowed)),
            },
            (Bound::Share(allowed), _) => match sample.result {
                Answer::Rejected => None,
                other => Some((other == Answer::Failed, *allowed)),
            },
            (Bound::Above(limit), metric) => {
                let span = match metric {
                    Metric::FirstToken => sample.first_token,
                    Metric::Cost => sample.cost.map(cost_as_span),
                    _ => sample.latency,
                };
                span.map(|span| (span > *limit, metric.allowed()))
            }
        }
    }
}

/// The span that so many percent above the baseline's percentile is; `None` where too little is known of it.
fn over_baseline(baseline: &View, metric: Metric, percent: u32, now: Instant) -> Option<Duration> {
    let histogram = baseline.histogram(metric, now);
    let percentile = 1.0 - metric.allowed();
    let upper = percentile + MARGIN * standard_error(percentile, histogram.len());
    // With fewer than two above it, it would be the luck of a single answer.
    if (1.0 - upper) * exact(histogram.len()) < 2.0 {
        return None;
    }
    let micros = histogram.quantile(upper)?.as_micros();
    let percent = 100 + u128::from(percent);
    let limit = micros * percent * (100 + BUCKET_PERCENT) / 10_000;
    Some(Duration::from_micros(
        u64::try_from(limit).unwrap_or(u64::MAX),
    ))
}

fn share(limit: ErrorLimit, baseline: &View, metric: Metric, now: Instant) -> Bound {
    match limit {
        ErrorLimit::Off => Bound::Unknown,
        ErrorLimit::AtMost(share) => Bound::Share(share),
        ErrorLimit::OverBaseline(share) => {
            let outcomes = baseline.outcomes(now);
            let hits = match metric {
                Metric::Rejected => outcomes.neutral,
                _ => outcomes.failure,
            };
            let among = outcomes.success + hits;
            if among < MIN_OUTCOMES {
                return Bound::Unknown;
            }
            // Agresti and Coull: a rate of zero that was seen is not known to be zero.
            let rate = (exact(hits) + 2.0) / (exact(among) + 4.0);
            let upper = rate + MARGIN * standard_error(rate, among);
            Bound::Share((upper + share).min(0.99))
        }
    }
}

/// What one target has shown about one limit; what of it outlives the process is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Judge {
    pub(super) metric: Metric,
    evidence: Evidence,
    /// Of this stage alone: observations, hits, and the hits that were allowed.
    observed: u64,
    hits: u64,
    allowed: f64,
    #[serde(skip)]
    recent: Recent,
    /// When it was last sure that the baseline exceeds the limit, where this is the baseline's.
    #[serde(skip)]
    suffered: Option<Instant>,
}

/// The last 64 observations.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Recent {
    hits: u64,
    observed: u32,
}

impl Recent {
    fn add(&mut self, hit: bool) {
        self.hits = (self.hits << 1) | u64::from(hit);
        self.observed = (self.observed + 1).min(u64::BITS);
    }

    /// Whether hits are at least half as frequent here as with `other`.
    fn is_like(&self, other: &Self) -> bool {
        let (own, others) = (self.hits.count_ones(), other.hits.count_ones());
        own * other.observed * 2 >= others * self.observed
    }
}

impl Judge {
    pub(super) fn new(metric: Metric) -> Self {
        Self {
            metric,
            evidence: Evidence::new(),
            observed: 0,
            hits: 0,
            allowed: 0.0,
            recent: Recent::default(),
            suffered: None,
        }
    }

    pub(super) fn add(&mut self, sample: &Sample, reference: &Reference) {
        let Some((hit, allowed)) = reference.observe(self.metric, sample) else {
            return;
        };
        self.evidence.add(allowed, hit);
        self.observed += 1;
        self.hits += u64::from(hit);
        self.allowed += allowed;
        self.recent.add(hit);
    }

    /// Whether it is sure that the limit is exceeded, but for a share of `alpha` of those who keep to it.
    pub(super) fn is_breached(&self, alpha: f64) -> bool {
        self.evidence.refutes(alpha)
    }

    /// Takes note of whether this one, the baseline's, exceeds the limit itself.
    pub(super) fn note_suffering(&mut self, now: Instant) {
        if self.is_breached(BASELINE_ALPHA) {
            self.suffered = Some(now);
            self.acquit();
        }
    }

    /// Whether the baseline exceeds the limit too just now, and not much less often, so that nothing is gained by going back to it.
    pub(super) fn is_shared_by(&self, baseline: &Self, now: Instant) -> bool {
        let is_now = |at| now.saturating_duration_since(at) < SUFFERS_FOR;
        baseline.suffered.is_some_and(is_now) && baseline.recent.is_like(&self.recent)
    }

    /// Forgets what was evidence.
    pub(super) fn acquit(&mut self) {
        self.evidence = Evidence::new();
    }

    /// Whether the limit was exceeded within this stage as it looks, sure or not.
    pub(super) fn is_over(&self) -> bool {
        exact(self.hits) > self.allowed
    }

    /// Begins another stage: what was seen counts on as evidence.
    pub(super) fn begin_stage(&mut self) {
        (self.observed, self.hits, self.allowed) = (0, 0, 0.0);
    }

    /// The share of hits in this stage, and the share that was allowed.
    pub(super) fn shares(&self) -> (f64, f64) {
        let observed = exact(self.observed.max(1));
        (exact(self.hits) / observed, self.allowed / observed)
    }
}

/// Of a share among so many.
fn standard_error(share: f64, among: u64) -> f64 {
    (share * (1.0 - share) / exact(among.max(1))).sqrt()
}

#[allow(clippy::cast_precision_loss, reason = "counts, for rates")]
fn exact(count: u64) -> f64 {
    count as f64
}

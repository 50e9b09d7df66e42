//! Everything that is known at one moment, as it is shown.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use tokio::time::Instant;

use super::{
    Availability, Histogram, Outcomes, Percentiles, RequestsSnapshot, SeriesSnapshot, Totals,
};

/// Everything that [`Stats`](super::Stats) held at one moment. It serializes: spans of time are milliseconds there, rates 0 to 1, and what
/// is not known is `null`.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// The length of the windows.
    #[serde(rename = "window_ms", serialize_with = "millis")]
    pub window: Duration,
    /// Requests as their callers saw them, where something [opens](super::Stats::open_request) them.
    pub requests: RequestsSnapshot,
    /// Each upstream with all its models, by name.
    pub upstreams: Vec<UpstreamSnapshot>,
    /// Every series with attempts or refusals, by upstream and model.
    pub series: Vec<SeriesSnapshot>,
}

/// What one upstream did with all its models.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpstreamSnapshot {
    /// The upstream.
    pub upstream: Arc<str>,
    /// Whether it takes requests, where a circuit breaker publishes that.
    pub breaker: Option<BreakerStatus>,
    /// Until it is tried again, where it takes none for a known time.
    #[serde(rename = "retry_in_ms", serialize_with = "maybe_millis")]
    pub retry_in: Option<Duration>,
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

/// An [`Availability`], as it is shown.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStatus {
    /// It takes requests.
    Closed,
    /// It takes none.
    Open,
    /// It takes a few, to see how it does.
    HalfOpen,
    /// It takes a share that grows.
    SlowStart,
}

impl BreakerStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Closed, Self::Open, Self::HalfOpen, Self::SlowStart];

    /// As a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::SlowStart => "slow_start",
        }
    }
}

impl From<Availability> for BreakerStatus {
    fn from(availability: Availability) -> Self {
        match availability {
            Availability::Available => Self::Closed,
            Availability::Unavailable { .. } => Self::Open,
            Availability::Probing => Self::HalfOpen,
            Availability::SlowStart { .. } => Self::SlowStart,
        }
    }
}

/// The series of one upstream, added up.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) outcomes: Outcomes,
    pub(super) totals: Totals,
    pub(super) latency: [Histogram; 3],
    pub(super) availability: Option<Availability>,
}

impl Sum {
    pub(super) fn snapshot(self, upstream: Arc<str>, now: Instant) -> UpstreamSnapshot {
        let availability = self.availability.map(|availability| availability.at(now));
        let [head, first_token, total] = self.latency.map(|latency| latency.percentiles());
        UpstreamSnapshot {
            upstream,
            breaker: availability.map(BreakerStatus::from),
            retry_in: match availability {
                Some(Availability::Unavailable { until: Some(until) }) => {
                    Some(until.saturating_duration_since(now))
                }
                _ => None,
            },
            outcomes: self.outcomes,
            totals: self.totals,
            success_rate: self.outcomes.success_rate(),
            head,
            first_token,
            total,
        }
    }
}

impl Serialize for Percentiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Percentiles", 4)?;
        fields.serialize_field("count", &self.count)?;
        fields.serialize_field("p50_ms", &self.p50.map(in_millis))?;
        fields.serialize_field("p95_ms", &self.p95.map(in_millis))?;
        fields.serialize_field("p99_ms", &self.p99.map(in_millis))?;
        fields.end()
    }
}

/// To the microsecond.
#[allow(clippy::cast_precision_loss, reason = "a span that is shown")]
fn in_millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

fn millis<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_millis(*span))
}

#[allow(clippy::ref_option, reason = "what serde calls it with")]
fn maybe_millis<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(in_millis).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{Latency, RequestEnd, Sample, Stats, Verdict},
        *,
    };

    #[test]
    fn a_snapshot_is_shown_with_its_units() {
        let now = Instant::now();
        let stats = Stats::default();
        let sample = Sample {
            verdict: Verdict::Success,
            head: None,
            first_token: None,
            total: Some(Duration::from_millis(100)),
        };
        for model in ["a", "b"] {
            stats.series("up", model, now).record_sample(now, &sample);
        }
        let slow = Duration::from_secs(2);
        stats
            .series("up", "b", now)
            .observe(now, Latency::Total, slow);
        let until = Some(now + Duration::from_millis(1500));
        stats
            .availability("up")
            .publish(Availability::Unavailable { until });
        stats.open_request(now).end(now, RequestEnd::Rejected, None);

        let shown = serde_json::to_value(stats.snapshot(now)).unwrap();
        assert_eq!(shown["window_ms"], json!(60_000.0));
        assert_eq!(shown["requests"]["since_start"]["rejected"], json!(1));
        assert_eq!(
            shown["requests"]["recent"]["success_rate"],
            json!(null),
            "nothing to judge by"
        );
        let upstream = &shown["upstreams"][0];
        assert_eq!(upstream["breaker"], json!("open"));
        assert_eq!(upstream["retry_in_ms"], json!(1500.0));
        assert_eq!(upstream["outcomes"]["success"], json!(2));
        assert_eq!(upstream["totals"]["outcomes"]["success"], json!(2));
        assert_eq!(upstream["total"]["count"], json!(3));
        assert!(upstream["total"]["p99_ms"].as_f64().unwrap() > 1900.0);
        assert_eq!(upstream["first_token"]["p50_ms"], json!(null));
        assert_eq!(shown["series"][1]["model"], json!("b"));
    }

    #[test]
    fn an_upstream_that_only_its_breaker_knows_is_shown() {
        let now = Instant::now();
        let stats = Stats::default();
        stats.availability("idle");
        let upstreams = stats.snapshot(now).upstreams;
        assert_eq!(upstreams.len(), 1);
        assert_eq!(upstreams[0].breaker, Some(BreakerStatus::Closed));
        assert_eq!(upstreams[0].outcomes.total(), 0);
    }
}

//! How upstreams have been doing: sliding windows of outcomes and latency, and who is available.
//!
//! Breakers, balancers, rollouts and dashboards share one [`Stats`]: what judges an upstream [records](Series::record) its
//! own attempts, what chooses or shows reads [`Series::outcomes`], [`Stats::snapshot`] and [`Availability`].
//!
//! ```
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_relay::stats::{Latency, Sample, Stats, Verdict};
//!
//! let stats = Stats::default();
//! let now = Instant::now();
//! let series = stats.series("openai", "gpt-4.1", now);
//! series.record(now, Verdict::Success);
//! series.observe(now, Latency::FirstToken, Duration::from_millis(320));
//!
//! assert_eq!(series.outcomes(now).success_rate(), Some(1.0));
//! let snapshot = stats.snapshot(now);
//! let p95 = snapshot.series[0].first_token.p95.unwrap();
//! assert!(p95 >= Duration::from_millis(310) && p95 <= Duration::from_millis(330));
//! ```
//!
//! Everything is bounded: windows are rings of ten slices, latencies fall into fixed buckets, and beyond a number of names
//! the rest share one series, [`OTHER`]. Locks are held for an increment or a sum, never across an await.

mod availability;
mod histogram;
mod mean;
mod outcomes;
mod registry;
mod requests;
mod ring;
mod series;
mod snapshot;
#[cfg(feature = "upstream")]
mod standing;

#[cfg(any(feature = "circuit-breaker", feature = "traffic-split"))]
pub(crate) use self::ring::Ring;
#[cfg(feature = "upstream")]
pub(crate) use self::standing::Standing;
pub use self::{
    availability::{Availability, AvailabilityCell, Subscription},
    histogram::{Histogram, Percentiles},
    mean::Mean,
    outcomes::{Outcomes, Verdict},
    registry::{OTHER, Stats},
    requests::{OpenRequest, RequestCounts, RequestEnd, Requests, RequestsSnapshot},
    series::{Latency, Sample, Series, SeriesSnapshot, Totals},
    snapshot::{BreakerStatus, Snapshot, UpstreamSnapshot},
};

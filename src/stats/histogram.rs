//! Spans of time, counted in buckets that grow with them.

use std::time::Duration;

use super::ring::Content;

/// Spans of time counted in fixed buckets, so that percentiles need no list of them.
///
/// Buckets are 16 µs wide up to 256 µs and a sixteenth of a power of two from there on (as HdrHistogram's), so a percentile
/// is off by at most 3.2 %. Spans above 17 minutes count as that.
#[derive(Clone, Default)]
pub struct Histogram {
    /// Empty until something is recorded: most series have no streams.
    counts: Vec<u32>,
    total: u64,
}

/// Percentiles of spans of time; `None` where nothing was recorded.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many spans there were.
    pub count: u64,
    /// The median.
    pub p50: Option<Duration>,
    /// Exceeded by one in twenty.
    pub p95: Option<Duration>,
    /// Exceeded by one in a hundred.
    pub p99: Option<Duration>,
}

const UNIT_MICROS: u64 = 16;
/// log₂ of the buckets per power of two.
const FINE: u32 = 4;
const STEPS: u64 = 1 << FINE;
/// 2^26 units: 17.9 minutes.
const LARGEST: u64 = (1 << 26) - 1;
const BUCKETS: usize = bucket(LARGEST) + 1;

/// The bucket of a span of `units`.
#[allow(
    clippy::cast_possible_truncation,
    reason = "of at most LARGEST units: some hundreds"
)]
const fn bucket(units: u64) -> usize {
    if units < STEPS {
        return units as usize;
    }
    let octave = units.ilog2() - FINE;
    (octave as u64 * STEPS + (units >> octave)) as usize
}

/// The middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let bucket = bucket as u64;
    let (first, width) = if bucket < STEPS {
        (bucket, 1)
    } else {
        let octave = bucket / STEPS - 1;
        ((bucket - octave * STEPS) << octave, 1 << octave)
    };
    Duration::from_micros(first * UNIT_MICROS + width * UNIT_MICROS / 2)
}

impl Histogram {
    /// Counts one span.
    pub fn record(&mut self, span: Duration) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        let units = u64::try_from(span.as_micros()).unwrap_or(u64::MAX) / UNIT_MICROS;
        if let Some(count) = self.counts.get_mut(bucket(units.min(LARGEST))) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
    }

    /// Counts all of `other` too.
    pub fn merge(&mut self, other: &Self) {
        if other.total == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total += other.total;
    }

    /// How many spans were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The span that this share of all spans, 0 to 1, does not exceed; `None` where there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among counted spans"
        )]
        let rank = ((self.total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        found.filter(|_| self.total > 0).map(middle)
    }

    /// The usual three.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.total,
            p50: self.quantile(0.50),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
        }
    }
}

impl Content for Histogram {
    fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Histogram")
            .field(&self.percentiles())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_bucket_follows_the_one_before() {
        assert_eq!(BUCKETS, 368);
        for units in (0..5_000).chain([LARGEST - 1, LARGEST]) {
            let at = bucket(units);
            assert!(
                at == bucket(units.saturating_sub(1)) || at == bucket(units.saturating_sub(1)) + 1,
                "{units}"
            );
            assert!(at < BUCKETS);
        }
    }

    #[test]
    fn nothing_recorded_has_no_percentiles() {
        let histogram = Histogram::default();
        assert_eq!(histogram.percentiles(), Percentiles::default());
        let mut other = histogram.clone();
        other.merge(&histogram);
        assert!(other.is_empty());
    }

    #[test]
    fn a_span_beyond_all_measure_counts_as_the_largest() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        let p99 = histogram.quantile(0.99).unwrap();
        assert!(
            p99 > Duration::from_secs(1_000) && p99 < Duration::from_secs(1_100),
            "{p99:?}"
        );
    }

    proptest! {
        #[test]
        fn a_percentile_is_close_to_the_exact_one(
            mut micros in prop::collection::vec(256u64..900_000_000, 1..200),
            share in 0.0f64..=1.0,
        ) {
            let (mut histogram, mut half) = (Histogram::default(), Histogram::default());
            for (at, micros) in micros.iter().enumerate() {
                let one = if at % 2 == 0 { &mut histogram } else { &mut half };
                one.record(Duration::from_micros(*micros));
            }
            histogram.merge(&half);
            micros.sort_unstable();
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let exact = micros[((micros.len() as f64 * share).ceil() as usize).saturating_sub(1)];
            let read = u64::try_from(histogram.quantile(share).unwrap().as_micros()).unwrap();
            prop_assert!(read.abs_diff(exact) * 1000 <= exact * 32 + 16_000, "{read} for {exact}");
        }
    }
}

//! One metric with all its sets of labels.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use metrics::{HistogramFn, Label};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric: its series by their labels, which are as they are shown.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: Kind,
    pub(super) series: BTreeMap<Box<str>, Series>,
}

/// One set of labels.
#[derive(Debug)]
pub(super) struct Series {
    /// As they were told.
    #[cfg_attr(
        not(all(feature = "gateway", feature = "otlp")),
        allow(dead_code, reason = "only export needs them")
    )]
    pub(super) labels: Box<[Label]>,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Counter(Arc<AtomicU64>),
    /// The bits of an `f64`.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

/// Values counted by the bound that they do not exceed.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Each with those that exceed the bound before; the last of those that exceed them all.
    counts: Box<[AtomicU64]>,
    bounds: Arc<[f64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

/// What [`Buckets`] held at one moment.
pub(super) struct Read {
    /// Each bound with how many do not exceed it.
    pub(super) cumulated: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Value {
    pub(super) fn new(kind: Kind, bounds: &Arc<[f64]>) -> Self {
        match kind {
            Kind::Counter => Self::Counter(Arc::default()),
            Kind::Gauge => Self::Gauge(Arc::default()),
            Kind::Histogram => Self::Histogram(Arc::new(Buckets::new(Arc::clone(bounds)))),
        }
    }
}

impl Buckets {
    pub(super) fn new(bounds: Arc<[f64]>) -> Self {
        Self {
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            bounds,
            sum: AtomicU64::new(0),
        }
    }

    #[cfg(all(feature = "gateway", feature = "otlp"))]
    pub(super) fn bounds(&self) -> &Arc<[f64]> {
        &self.bounds
    }

    pub(super) fn read(&self) -> Read {
        let mut count = 0;
        let mut cumulated = Vec::with_capacity(self.bounds.len());
        let mut bounds = self.bounds.iter();
        for bucket in &self.counts {
            count += bucket.load(Relaxed);
            if let Some(bound) = bounds.next() {
                cumulated.push((*bound, count));
            }
        }
        Read {
            cumulated,
            count,
            sum: f64::from_bits(self.sum.load(Relaxed)),
        }
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        // What is no number would make the sum none for ever.
        if !value.is_finite() {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if let Some(bucket) = self.counts.get(bucket) {
            bucket.fetch_add(count, Relaxed);
        }
        #[allow(clippy::cast_precision_loss, reason = "a sum of floats")]
        let more = value * count as f64;
        let add = |sum| Some((f64::from_bits(sum) + more).to_bits());
        // It never refuses, so there is always a sum.
        let _ = self.sum.fetch_update(Relaxed, Relaxed, add);
    }
}

//! All metrics at one moment.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use metrics::{Label, Unit};

use super::{family::Value, prometheus::State};

/// A metric, under the name that the facade has for it.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: Box<str>,
    pub(crate) unit: Option<Unit>,
    pub(crate) text: String,
    /// At least one, all of one kind.
    pub(crate) points: Vec<Point>,
}

/// What one set of labels came to.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) labels: Box<[Label]>,
    pub(crate) reading: Reading,
}

#[derive(Debug)]
pub(crate) enum Reading {
    /// Since the start.
    Count(u64),
    Gauge(f64),
    /// How many values are within each bound and above the one before, and how many above them all; since the start.
    Histogram {
        bounds: Arc<[f64]>,
        counts: Vec<u64>,
        sum: f64,
    },
}

/// All of them, by name.
pub(super) fn all(state: &State) -> Vec<Metric> {
    let families = state.families.iter().map(|(name, family)| {
        let described = state.described.get(name);
        let points = family.series.values().map(|series| Point {
            labels: series.labels.clone(),
            reading: read(&series.value),
        });
        Metric {
            name: name.clone(),
            unit: described.and_then(|described| described.unit),
            text: described.map_or_else(String::new, |described| described.text.to_string()),
            points: points.collect(),
        }
    });
    let dropped = Metric {
        name: "relay.metrics.dropped".into(),
        unit: None,
        text: "Metrics that found no place, for too many sets of labels.".to_owned(),
        points: vec![Point {
            labels: Box::default(),
            reading: Reading::Count(state.dropped),
        }],
    };
    families.chain([dropped]).collect()
}

fn read(value: &Value) -> Reading {
    match value {
        Value::Counter(counter) => Reading::Count(counter.load(Relaxed)),
        Value::Gauge(gauge) => Reading::Gauge(f64::from_bits(gauge.load(Relaxed))),
        Value::Histogram(buckets) => {
            let read = buckets.read();
            let mut before = 0;
            let up_to = read.cumulated.iter().map(|(_, count)| *count);
            let counts = up_to.chain([read.count]).map(|count| {
                let within = count - before;
                before = count;
                within
            });
            Reading::Histogram {
                counts: counts.collect(),
                bounds: Arc::clone(buckets.bounds()),
                sum: read.sum,
            }
        }
    }
}

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::{
    family::{Family, Kind, Series, Value},
    render,
};

/// Keeps what the `metrics` facade is told, and shows it as Prometheus reads it. Clones share it.
///
/// ```
/// use metrics::{Key, Label, Level, Metadata, Recorder};
/// use tower_relay::server::Prometheus;
///
/// let prometheus = Prometheus::new();
/// let key = Key::from_parts("relay.retries", vec![Label::new("relay.upstream", "openai")]);
/// let about = Metadata::new("mine", Level::INFO, None);
/// prometheus.register_counter(&key, &about).increment(2);
/// assert!(prometheus.render().contains("relay_retries_total{relay_upstream=\"openai\"} 2\n"));
/// ```
///
/// Names and labels are OpenTelemetry's with `_` for what Prometheus does not take, and with what its conventions add: the unit of
/// those described with one (`_seconds`), and `_total` for counters. Histograms have fixed buckets, so nothing grows with the number of
/// values, whether anybody reads them or not. There are at most 10,000 sets of labels; what is beyond is kept nowhere, and counted in
/// `relay_metrics_dropped_total`.
///
/// It is a recorder to be given to [`TelemetryBuilder::recorder`](crate::telemetry::TelemetryBuilder::recorder), or to be installed for the
/// whole process by `metrics::set_global_recorder`.
#[derive(Clone, Default)]
pub struct Prometheus(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    samplers: Mutex<BTreeMap<&'static str, Sampler>>,
}

type Sampler = Arc<dyn Fn(&dyn Recorder) + Send + Sync>;

#[derive(Default)]
pub(super) struct State {
    pub(super) families: BTreeMap<Box<str>, Family>,
    pub(super) described: HashMap<Box<str>, Described>,
    bounds: HashMap<Box<str>, Arc<[f64]>>,
    pub(super) sets: usize,
    pub(super) dropped: u64,
}

/// What is said of a metric, by the name that the facade has for it.
pub(super) struct Described {
    pub(super) unit: Option<Unit>,
    pub(super) text: SharedString,
}

/// The most sets of labels.
const MAX_SETS: usize = 10_000;
/// And of metrics that are described.
const MAX_DESCRIBED: usize = 1_000;

/// The bounds of buckets that nobody chose: those of OpenTelemetry's SDKs, for milliseconds and the like.
const BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0,
    7_500.0, 10_000.0,
];

impl Prometheus {
    /// One that has been told nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the bounds of a histogram's buckets, by the name that the facade has for it, before anything is recorded in it. They are
    /// put in order; what is no number is left out.
    pub fn buckets(self, name: &str, bounds: &[f64]) -> Self {
        let mut bounds: Vec<f64> = bounds.iter().copied().filter(|b| b.is_finite()).collect();
        bounds.sort_unstable_by(f64::total_cmp);
        bounds.dedup();
        self.state().bounds.insert(name.into(), bounds.into());
        self
    }

    /// Adds what is asked for gauges, and for counters kept elsewhere, each time before the metrics are shown: in place of what has the
    /// same `name`, if anything. It must not block.
    pub fn sampled(
        &self,
        name: &'static str,
        sample: impl Fn(&dyn Recorder) + Send + Sync + 'static,
    ) {
        self.samplers().insert(name, Arc::new(sample));
    }

    /// Everything, in Prometheus' text format (version 0.0.4).
    pub fn render(&self) -> String {
        self.sample();
        render::all(&self.state())
    }

    /// Everything, as it was told, for those who have another form for it.
    #[cfg(all(feature = "gateway", feature = "otlp"))]
    pub(crate) fn snapshot(&self) -> Vec<super::Metric> {
        self.sample();
        super::snapshot::all(&self.state())
    }

    fn sample(&self) {
        let samplers: Vec<_> = self.samplers().values().cloned().collect();
        for sample in samplers {
            sample(self);
        }
    }

    fn value(&self, key: &Key, kind: Kind) -> Option<Value> {
        let mut state = self.state();
        let labels = render::labels(key);
        let name = key.name();
        if let Some(family) = state.families.get(name) {
            if family.kind != kind {
                state.dropped += 1;
                return None;
            }
            if let Some(series) = family.series.get(&*labels) {
                return Some(series.value.clone());
            }
        }
        if state.sets >= MAX_SETS {
            state.dropped += 1;
            return None;
        }
        let bounds = state.bounds.get(name).cloned();
        let value = Value::new(kind, &bounds.unwrap_or_else(|| BOUNDS.into()));
        let family = state.families.entry(name.into());
        let family = family.or_insert_with(|| Family {
            kind,
            series: BTreeMap::new(),
        });
        let series = Series {
            labels: key.labels().cloned().collect(),
            value: value.clone(),
        };
        family.series.insert(labels.into(), series);
        state.sets += 1;
        Some(value)
    }

    fn describe(&self, key: &KeyName, unit: Option<Unit>, text: SharedString) {
        let mut state = self.state();
        if state.described.len() < MAX_DESCRIBED || state.described.contains_key(key.as_str()) {
            let described = Described { unit, text };
            state.described.insert(key.as_str().into(), described);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn samplers(&self) -> MutexGuard<'_, BTreeMap<&'static str, Sampler>> {
        let samplers = self.0.samplers.lock();
        samplers.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for Prometheus {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&key, unit, text);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&key, unit, text);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&key, unit, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.value(key, Kind::Counter) {
            Some(Value::Counter(counter)) => Counter::from_arc(counter),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.value(key, Kind::Gauge) {
            Some(Value::Gauge(gauge)) => Gauge::from_arc(gauge),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.value(key, Kind::Histogram) {
            Some(Value::Histogram(buckets)) => Histogram::from_arc(buckets),
            _ => Histogram::noop(),
        }
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("sets", &self.state().sets)
            .finish_non_exhaustive()
    }
}

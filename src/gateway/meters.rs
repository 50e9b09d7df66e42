//! What a gateway counts, and what its layers have counted themselves.

use metrics::{Key, Label, Level, Metadata, Recorder};
use tokio::time::Instant;

use super::Handles;
use crate::{
    reserve::RedisHandle,
    server::{Prometheus, status::Refusals},
    telemetry::{
        self,
        conventions::{BUCKETS, attribute, metric},
    },
};

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// What keeps the metrics.
pub(super) fn prometheus() -> Prometheus {
    BUCKETS
        .iter()
        .fold(Prometheus::new(), |prometheus, (name, bounds)| {
            prometheus.buckets(name, bounds)
        })
}

/// Counts what callers were refused by whoever stands further out than telemetry too: the edge, and what asks who they are.
pub(super) fn sample_refusals(prometheus: &Prometheus, refusals: Refusals) {
    prometheus.sampled("refusals", move |recorder| {
        for refused in refusals.report().counts {
            let labels = [
                (attribute::LAYER, refused.layer),
                (attribute::REASON, refused.reason),
            ];
            count(recorder, metric::REFUSALS, labels, refused.count);
        }
    });
}

/// Asks the layers in force, whenever the metrics are read.
pub(super) fn sample(handles: &Handles, recorder: &dyn Recorder) {
    telemetry::sample(&handles.stats().snapshot(Instant::now()), recorder);
    let layers = handles.layers();
    for (layer, waiting) in layers.waiting() {
        let key = key(metric::WAITING, [(attribute::LAYER, &*layer)]);
        #[allow(clippy::cast_precision_loss, reason = "a gauge's value")]
        recorder.register_gauge(&key, &METADATA).set(waiting as f64);
    }
    for (layer, handle) in layers.rate_limits() {
        let Some(local) = handle.local() else {
            continue;
        };
        let labels = [(attribute::LAYER, &*layer)];
        count(recorder, metric::OVERFLOWED, labels, local.overflowed());
        count(recorder, metric::FORGIVEN, labels, local.forgiven());
    }
    if let Some(store) = &layers.store {
        sample_store(store, recorder);
    }
    for (upstream, handle) in &layers.normalizers {
        for (repair, repairs) in handle.repairs().filter(|(_, count)| *count > 0) {
            let labels = [
                (attribute::UPSTREAM, &**upstream),
                (attribute::REASON, repair.as_str()),
            ];
            count(recorder, metric::REPAIRS, labels, repairs);
        }
    }
    if let Some(shadow) = &layers.shadow {
        for (what, copies) in [
            ("sent", shadow.sent()),
            ("dropped", shadow.dropped()),
            ("compared", shadow.compared()),
        ] {
            count(
                recorder,
                metric::SHADOWS,
                [(attribute::STATE, what)],
                copies,
            );
        }
    }
}

/// What became of calls to the store that replicas share, and of what it was not asked.
fn sample_store(store: &RedisHandle, recorder: &dyn Recorder) {
    for (name, what, times) in [
        (metric::STORE_CALLS, "answered", store.answered()),
        (metric::STORE_CALLS, "failed", store.failed()),
        (metric::STORE_CALLS, "skipped", store.skipped()),
        (metric::STORE_RESERVATIONS, "local", store.stood_in()),
        (metric::STORE_RESERVATIONS, "admitted", store.uncounted()),
        (metric::STORE_RESERVATIONS, "refused", store.refused()),
        (metric::STORE_SETTLEMENTS, "settled", store.settled()),
        (metric::STORE_SETTLEMENTS, "lost", store.unsettled()),
    ] {
        count(recorder, name, [(attribute::STATE, what)], times);
    }
    let labels = [(attribute::LAYER, "store")];
    count(recorder, metric::FORGIVEN, labels, store.forgiven());
    let key = key(metric::STORE_DOWN, []);
    let down = if store.is_open() { 1.0 } else { 0.0 };
    recorder.register_gauge(&key, &METADATA).set(down);
}

/// Says that a counter stands at so many.
fn count<const N: usize>(
    recorder: &dyn Recorder,
    name: &'static str,
    labels: [(&'static str, &str); N],
    times: u64,
) {
    let counter = recorder.register_counter(&key(name, labels), &METADATA);
    counter.absolute(times);
}

fn key<const N: usize>(name: &'static str, labels: [(&'static str, &str); N]) -> Key {
    let labels = labels.map(|(name, value)| Label::new(name, value.to_owned()));
    Key::from_parts(name, labels.to_vec())
}

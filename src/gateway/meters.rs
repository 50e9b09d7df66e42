//! What a gateway counts, and what its layers have counted themselves.

use metrics::{Key, Label, Level, Metadata, Recorder};
use tokio::time::Instant;

use super::Handles;
use crate::{
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
            let key = key(metric::REFUSALS, labels);
            recorder
                .register_counter(&key, &METADATA)
                .absolute(refused.count);
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
    for (upstream, handle) in &layers.normalizers {
        for (repair, count) in handle.repairs().filter(|(_, count)| *count > 0) {
            let labels = [
                (attribute::UPSTREAM, &**upstream),
                (attribute::REASON, repair.as_str()),
            ];
            let key = key(metric::REPAIRS, labels);
            recorder.register_counter(&key, &METADATA).absolute(count);
        }
    }
    if let Some(shadow) = &layers.shadow {
        for (what, count) in [
            ("sent", shadow.sent()),
            ("dropped", shadow.dropped()),
            ("compared", shadow.compared()),
        ] {
            let key = key(metric::SHADOWS, [(attribute::STATE, what)]);
            recorder.register_counter(&key, &METADATA).absolute(count);
        }
    }
}

fn key<const N: usize>(name: &'static str, labels: [(&'static str, &str); N]) -> Key {
    let labels = labels.map(|(name, value)| Label::new(name, value.to_owned()));
    Key::from_parts(name, labels.to_vec())
}

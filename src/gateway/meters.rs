//! What a gateway counts, and what its layers have counted themselves.

use std::sync::Arc;

use metrics::{Key, Label, Level, Metadata, Recorder};
use tokio::time::Instant;

use super::LayerHandles;
use crate::{
    normalize::ResponseNormalizeHandle,
    server::Prometheus,
    shadow::ShadowHandle,
    stats::Stats,
    telemetry::{
        conventions::{BUCKETS, attribute, metric},
        sample,
    },
};

/// What is asked of those layers that nobody steers.
#[derive(Debug, Clone, Default)]
pub(super) struct Meters {
    normalizers: Vec<(Box<str>, ResponseNormalizeHandle)>,
    shadow: Option<ShadowHandle>,
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// What keeps the metrics.
pub(super) fn prometheus() -> Prometheus {
    let buckets = BUCKETS.iter();
    buckets.fold(Prometheus::new(), |prometheus, (name, bounds)| {
        prometheus.buckets(name, bounds)
    })
}

impl Meters {
    pub(super) fn add_normalizer(&mut self, upstream: &str, handle: ResponseNormalizeHandle) {
        self.normalizers.push((upstream.into(), handle));
    }

    pub(super) fn set_shadow(&mut self, handle: ShadowHandle) {
        self.shadow = Some(handle);
    }

    /// Asks `stats`, `layers` and these whenever the metrics are read, and no longer what was asked before.
    pub(super) fn sample(self, prometheus: &Prometheus, stats: Stats, layers: Arc<LayerHandles>) {
        prometheus.sampled("gateway", move |recorder| {
            sample(&stats.snapshot(Instant::now()), recorder);
            for (layer, waiting) in layers.waiting() {
                let key = key(metric::WAITING, [(attribute::LAYER, &*layer)]);
                #[allow(clippy::cast_precision_loss, reason = "a gauge's value")]
                recorder.register_gauge(&key, &METADATA).set(waiting as f64);
            }
            self.count(recorder);
        });
    }

    fn count(&self, recorder: &dyn Recorder) {
        for (upstream, handle) in &self.normalizers {
            for (repair, count) in handle.repairs().filter(|(_, count)| *count > 0) {
                let labels = [
                    (attribute::UPSTREAM, &**upstream),
                    (attribute::REASON, repair.as_str()),
                ];
                let key = key(metric::REPAIRS, labels);
                recorder.register_counter(&key, &METADATA).absolute(count);
            }
        }
        if let Some(shadow) = &self.shadow {
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
}

fn key<const N: usize>(name: &'static str, labels: [(&'static str, &str); N]) -> Key {
    let labels = labels.map(|(name, value)| Label::new(name, value.to_owned()));
    Key::from_parts(name, labels.to_vec())
}

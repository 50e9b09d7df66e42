//! What a gateway counts, and what its layers have counted themselves.

use metrics::{Key, Label, Level, Metadata, Recorder};
use tokio::time::Instant;

use super::Handles;
use crate::{
    normalize::ResponseNormalizeHandle,
    server::Prometheus,
    shadow::ShadowHandle,
    telemetry::{
        conventions::{BUCKETS, attribute, metric},
        sample,
    },
};

/// What keeps the metrics, and what is asked of those layers that nobody steers.
#[derive(Debug, Clone)]
pub(super) struct Meters {
    prometheus: Prometheus,
    counted: Counted,
}

#[derive(Debug, Clone, Default)]
struct Counted {
    normalizers: Vec<(Box<str>, ResponseNormalizeHandle)>,
    shadow: Option<ShadowHandle>,
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Default for Meters {
    fn default() -> Self {
        let prometheus = BUCKETS
            .iter()
            .fold(Prometheus::new(), |prometheus, (name, bounds)| {
                prometheus.buckets(name, bounds)
            });
        Self {
            prometheus,
            counted: Counted::default(),
        }
    }
}

impl Meters {
    pub(super) fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    pub(super) fn add_normalizer(&mut self, upstream: &str, handle: ResponseNormalizeHandle) {
        self.counted.normalizers.push((upstream.into(), handle));
    }

    pub(super) fn set_shadow(&mut self, handle: ShadowHandle) {
        self.counted.shadow = Some(handle);
    }

    /// Asks `handles` and the layers whenever the metrics are read.
    pub(super) fn sample(&self, handles: Handles) {
        let counted = self.counted.clone();
        self.prometheus.sampled("gateway", move |recorder| {
            sample(&handles.stats().snapshot(Instant::now()), recorder);
            for (layer, waiting) in handles.waiting() {
                let key = key(metric::WAITING, [(attribute::LAYER, &*layer)]);
                #[allow(clippy::cast_precision_loss, reason = "a gauge's value")]
                recorder.register_gauge(&key, &METADATA).set(waiting as f64);
            }
            counted.sample(recorder);
        });
    }
}

impl Counted {
    fn sample(&self, recorder: &dyn Recorder) {
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

//! What layers hold or have counted themselves, for whoever reads the metrics.

use metrics::{Key, Label, Level, Metadata, Recorder};
use tokio::time::Instant;

use crate::{
    admission::AdmissionHandle,
    fallback::FallbackHandle,
    normalize::ResponseNormalizeHandle,
    rate_limit::RateLimitHandle,
    shadow::ShadowHandle,
    stats::Stats,
    telemetry::{
        conventions::{attribute, metric},
        sample,
    },
};

/// What is asked when the metrics are read.
#[derive(Debug, Clone)]
pub(super) struct Gauges {
    stats: Stats,
    admission: Option<AdmissionHandle>,
    limits: Vec<(Box<str>, RateLimitHandle)>,
    fallbacks: Vec<(Box<str>, FallbackHandle)>,
    normalizers: Vec<(Box<str>, ResponseNormalizeHandle)>,
    shadow: Option<ShadowHandle>,
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Gauges {
    pub(super) fn of(stats: &Stats) -> Self {
        Self {
            stats: stats.clone(),
            admission: None,
            limits: Vec::new(),
            fallbacks: Vec::new(),
            normalizers: Vec::new(),
            shadow: None,
        }
    }

    pub(super) fn add_limit(&mut self, layer: &str, handle: &RateLimitHandle) {
        self.limits.push((layer.into(), handle.clone()));
    }

    pub(super) fn add_fallback(&mut self, route: &str, handle: &FallbackHandle) {
        let layer = format!("fallback of {route}");
        self.fallbacks.push((layer.into(), handle.clone()));
    }

    pub(super) fn add_normalizer(&mut self, upstream: &str, handle: ResponseNormalizeHandle) {
        self.normalizers.push((upstream.into(), handle));
    }

    pub(super) fn set_admission(&mut self, handle: AdmissionHandle) {
        self.admission = Some(handle);
    }

    pub(super) fn set_shadow(&mut self, handle: ShadowHandle) {
        self.shadow = Some(handle);
    }

    pub(super) fn sample(&self, recorder: &dyn Recorder) {
        sample(&self.stats.snapshot(Instant::now()), recorder);
        let admission = self.admission.iter();
        let admission = admission.map(|handle| ("admission", handle.waiting()));
        let limits = self.limits.iter();
        let limits = limits.map(|(layer, handle)| (&**layer, handle.waiting()));
        let fallbacks = self.fallbacks.iter();
        let fallbacks = fallbacks.map(|(layer, handle)| (&**layer, handle.counts().waiting));
        for (layer, waiting) in admission.chain(limits).chain(fallbacks) {
            let key = key(metric::WAITING, [(attribute::LAYER, layer)]);
            #[allow(clippy::cast_precision_loss, reason = "a gauge's value")]
            recorder.register_gauge(&key, &METADATA).set(waiting as f64);
        }
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

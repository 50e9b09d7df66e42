//! What is not counted but stands at some value.

use std::sync::Arc;

use metrics::{Key, Label, Recorder};

use super::METADATA;
use crate::{
    stats::{BreakerStatus, Snapshot},
    telemetry::conventions::{attribute, metric},
};

/// Sets the gauges of what `snapshot` says: requests in flight, and the state of each circuit breaker. To be called before metrics are
/// read, or from time to time.
pub fn sample(snapshot: &Snapshot, recorder: &dyn Recorder) {
    #[allow(clippy::cast_precision_loss, reason = "a gauge's value")]
    let in_flight = snapshot.requests.in_flight as f64;
    let gauge = |name, labels, value: f64| {
        let key = Key::from_parts::<_, Vec<Label>>(name, labels);
        recorder.register_gauge(&key, &METADATA).set(value);
    };
    gauge(metric::IN_FLIGHT, Vec::new(), in_flight);
    for upstream in &snapshot.upstreams {
        let Some(status) = upstream.breaker else {
            continue;
        };
        for state in BreakerStatus::ALL {
            let labels = vec![
                Label::new(attribute::UPSTREAM, Arc::clone(&upstream.upstream)),
                Label::new(attribute::STATE, state.as_str()),
            ];
            gauge(
                metric::BREAKER,
                labels,
                f64::from(u8::from(state == status)),
            );
        }
    }
}

use serde_json::{Map, Value, json};

use super::{FeedbackHandle, UpstreamScore};
use crate::control::{Acting, Control, ControlError, Parameters, acted};

fn shown(UpstreamScore { upstream, scores }: UpstreamScore) -> (String, Value) {
    let shown = json!({
        "scores": scores.count(),
        "mean": scores.mean(),
        "interval": scores.interval(),
    });
    (upstream.to_string(), shown)
}

impl Control for FeedbackHandle {
    fn kind(&self) -> &'static str {
        "feedback"
    }

    fn show(&self) -> Value {
        let upstreams: Map<_, _> = self.scores().into_iter().map(shown).collect();
        json!({"upstreams": upstreams, "dropped": self.dropped()})
    }

    /// There is nothing to steer.
    fn actions(&self) -> &'static [&'static str] {
        &[]
    }

    fn act<'a>(&'a self, action: &'a str, _: Parameters) -> Acting<'a> {
        acted(Err(ControlError::unknown_action(action, self.actions())))
    }
}

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{CircuitBreakerHandle, CircuitState};
use crate::{
    control::{Acting, Change, Control, Parameters, acted},
    key::Key,
};

/// One circuit, to be shown and forced: [`CircuitBreakerHandle::control`].
#[derive(Debug, Clone)]
pub struct CircuitControl {
    handle: CircuitBreakerHandle,
    key: Key,
}

impl CircuitControl {
    pub(super) fn new(handle: CircuitBreakerHandle, key: Key) -> Self {
        Self { handle, key }
    }
}

impl Control for CircuitControl {
    fn kind(&self) -> &'static str {
        "breakers"
    }

    fn show(&self) -> Value {
        let state = self.handle.state(&self.key);
        let left = match state {
            CircuitState::Open { until } => Some(
                until
                    .saturating_duration_since(Instant::now())
                    .as_secs_f64(),
            ),
            _ => None,
        };
        json!({"state": state.as_str(), "open_for_seconds": left})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["open", "close", "reset"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(with.none().map(|()| {
            let old = self.handle.state(&self.key);
            match action {
                "open" => self.handle.force_open(&self.key),
                "close" => self.handle.force_closed(&self.key),
                _ => self.handle.reset(&self.key),
            }
            Change::new(old.as_str(), self.handle.state(&self.key).as_str())
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{circuit_breaker::CircuitBreakerLayer, control::Controls};

    #[tokio::test]
    async fn a_circuit_is_forced_and_let_go_by_name() {
        let layer = CircuitBreakerLayer::builder().build().unwrap();
        let key = Key::named("upstream", "openai");
        let controls = Controls::default();
        controls.add("openai", layer.handle().control(key.clone()));
        for (action, state) in [
            ("open", CircuitState::ForcedOpen),
            ("close", CircuitState::ForcedClosed),
            ("reset", CircuitState::Closed),
        ] {
            let name = ("breakers", "openai");
            let change = controls.act(name, action, Parameters::default()).await;
            assert_eq!(change.unwrap().new, state.as_str());
            assert_eq!(layer.handle().state(&key), state);
        }
    }
}

use serde::Deserialize;
use serde_json::{Value, json};

use super::TrafficSplitHandle;
use crate::control::{Acting, Change, Control, ControlError, Parameters, acted};

/// Why its weights and its target are not an operator's to set: the rollout would take them back when it next moves.
const ROLLED_OUT: &str = "the rollout of this split sets its weights and its target until it is complete: pause, resume, rollback or force the rollout instead";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    weights: Vec<u32>,
}

/// Where all stateless requests are to go; nowhere in particular with `null`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    // It must be there, so that a misspelt name is not taken for none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) target: Option<String>,
}

impl TrafficSplitHandle {
    fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        if action == "weights" {
            let Weights { weights } = with.read()?;
            self.check_weights(&weights)?;
            self.check_free()?;
            let old = self.weights();
            self.set_weights(&weights)?;
            return Ok(Change::new(json!(old), json!(self.weights())));
        }
        let force: Force = with.read()?;
        self.check_free()?;
        let old = self.forced().map(ToString::to_string);
        self.force(force.target.as_deref())?;
        Ok(Change::new(old, force.target))
    }

    fn check_free(&self) -> Result<(), ControlError> {
        if self.is_rolled_out() {
            return Err(ControlError::Conflict(ROLLED_OUT.to_owned()));
        }
        Ok(())
    }
}

impl Control for TrafficSplitHandle {
    fn kind(&self) -> &'static str {
        "splits"
    }

    fn show(&self) -> Value {
        let targets = self.targets().zip(self.weights()).zip(self.counts());
        let targets = targets.map(|((name, weight), requests)| {
            json!({"name": name, "weight": weight, "requests": requests})
        });
        json!({"targets": targets.collect::<Vec<_>>(), "forced": self.forced()})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["weights", "force"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(action, with))
    }
}

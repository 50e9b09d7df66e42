use serde::Deserialize;
use serde_json::{Value, json};

use super::{Rollout, RolloutStatus, TargetStatus};
use crate::{
    control::{Acting, Change, Control, ControlError, Parameters, acted},
    traffic_split::control::Force,
};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Rollback {
    gradually: bool,
}

impl Rollout {
    fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        let old = where_it_is(&self.status());
        match action {
            "pause" => with.none().map(|()| self.pause())?,
            "resume" => with.none().map(|()| self.resume())?,
            "rollback" => {
                let Rollback { gradually } = with.read()?;
                if gradually {
                    self.rollback_gradually();
                } else {
                    self.rollback_now();
                }
            }
            _ => self.force(with.read::<Force>()?.target.as_deref())?,
        }
        Ok(Change::new(old, where_it_is(&self.status())))
    }
}

/// What a change can change.
fn where_it_is(status: &RolloutStatus) -> Value {
    let weights: Vec<_> = status.targets.iter().map(|target| target.weight).collect();
    json!({
        "state": status.state,
        "stage": status.stage + 1,
        "weights": weights,
        "forced": status.forced,
    })
}

fn target(target: &TargetStatus) -> Value {
    let over: Vec<_> = target.over.iter().map(|metric| metric.as_str()).collect();
    json!({
        "name": target.name,
        "weight": target.weight,
        "requests": target.requests,
        "error_rate": target.error_rate,
        "p95_ms": target.p95.map(|p95| p95.as_secs_f64() * 1e3),
        "over": over,
    })
}

impl Control for Rollout {
    fn kind(&self) -> &'static str {
        "rollouts"
    }

    fn show(&self) -> Value {
        let status = self.status();
        let (stage_time, minimum_requests) = self.plan();
        json!({
            "state": status.state,
            // From 1, as people count.
            "stage": status.stage + 1,
            "stages": status.stages,
            "elapsed_seconds": status.elapsed.as_secs(),
            "stage_seconds": stage_time.as_secs(),
            "minimum_requests": minimum_requests,
            "forced": status.forced,
            "targets": status.targets.iter().map(target).collect::<Vec<_>>(),
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["pause", "resume", "rollback", "force"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(action, with))
    }
}

//! What a rollout keeps for when the process starts again.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer, ser::Error};
use serde_json::value::to_raw_value;

use super::{judge::Judge, plan::Plan, status::RolloutState};
use crate::wire::{clock, rfc3339};

/// The shape of the file.
const SCHEMA: u32 = 1;

/// A rollout as it stands in its file: what an operator reads there, and may change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    schema: u32,
    pub(super) state: RolloutState,
    /// From 0.
    pub(super) stage: usize,
    /// The time spent in the stage, or in the step back.
    #[serde(default)]
    pub(super) elapsed_seconds: u64,
    /// Of a gradual rollback, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) step: usize,
    /// Attempts in this stage, of each target.
    #[serde(default)]
    pub(super) requests: Vec<u64>,
    #[serde(default)]
    pub(super) force: Option<Arc<str>>,
    pub(super) targets: Vec<Arc<str>>,
    /// For people: they follow from the rest.
    #[serde(default)]
    pub(super) weights: Vec<u32>,
    /// For people.
    #[serde(default)]
    updated: String,
    /// What each target has shown about each limit.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "on_one_line"
    )]
    pub(super) evidence: Vec<Vec<Judge>>,
}

/// Where a rollout is: its state, stage, step back, and where it is forced to.
#[cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "replicas compare them")
)]
pub(super) type Position = (RolloutState, usize, usize, Option<Arc<str>>);

/// So that the rest stays a page that people read.
fn on_one_line<S: Serializer>(evidence: &[Vec<Judge>], to: S) -> Result<S::Ok, S::Error> {
    let line = to_raw_value(evidence).map_err(S::Error::custom)?;
    line.serialize(to)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(step: &usize) -> bool {
    *step == 0
}

impl Saved {
    pub(super) fn new(plan: &Plan, state: RolloutState, stage: usize) -> Self {
        Self {
            schema: SCHEMA,
            state,
            stage,
            elapsed_seconds: 0,
            step: 0,
            requests: Vec::new(),
            force: None,
            targets: plan.targets.clone(),
            weights: Vec::new(),
            updated: rfc3339::format(clock::now()),
            evidence: Vec::new(),
        }
    }

    /// Where it says that the rollout is: all of it that somebody decides, and time alone does not change.
    #[cfg_attr(
        not(feature = "redis"),
        allow(dead_code, reason = "replicas compare it")
    )]
    pub(super) fn position(&self) -> Position {
        let force = self.force.clone();
        (self.state, self.stage, self.step, force)
    }

    /// What stands in `text`, if it is of this plan.
    pub(super) fn parse(text: &str, plan: &Plan) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            schema: u32,
        }
        let versioned: Versioned = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if versioned.schema != SCHEMA {
            return Err(format!(
                "schema {} is not known, but {SCHEMA}",
                versioned.schema
            ));
        }
        let saved: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if saved.targets != plan.targets {
            return Err(format!(
                "it is of a rollout of {:?}, and this one is of {:?}",
                saved.targets, plan.targets
            ));
        }
        if saved.stage >= plan.stages.len() {
            return Err(format!(
                "stage {} is not there: there are {}, from 0",
                saved.stage,
                plan.stages.len()
            ));
        }
        if let Some(force) = &saved.force
            && !plan.targets.contains(force)
        {
            return Err(format!("force: {force:?} is not among the targets"));
        }
        Ok(saved)
    }

    pub(super) fn to_text(&self) -> String {
        // Maps of strings and numbers are always JSON.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

//! What a rollout shows of itself.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::limits::Metric;

/// Where a rollout is.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// It goes from stage to stage.
    Active,
    /// It stays in its stage, and is still judged.
    Paused,
    /// It is going back to the baseline step by step.
    RollingBack,
    /// It is back at the baseline.
    RolledBack,
    /// It has passed its last stage, whose weights stay. It is judged no longer.
    Complete,
}

impl RolloutState {
    /// As a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::Complete => "complete",
        }
    }
}

/// A rollout at one moment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutStatus {
    /// Where it is.
    pub state: RolloutState,
    /// Its stage, from 0.
    pub stage: usize,
    /// How many stages there are.
    pub stages: usize,
    /// How long it has been in its stage, or in its step back.
    pub elapsed: Duration,
    /// Where all requests are sent, whatever the stage says.
    pub forced: Option<Arc<str>>,
    /// How each target does, the baseline first.
    pub targets: Vec<TargetStatus>,
}

/// A target of a rollout at one moment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct TargetStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its weight in the split.
    pub weight: u32,
    /// Attempts in this stage that say how it does.
    pub requests: u64,
    /// The share of attempts within the window that failed, 0 to 1.
    pub error_rate: Option<f64>,
    /// The 95th percentile of latency within the window.
    pub p95: Option<Duration>,
    /// The limits that it is above in this stage as it looks, sure or not.
    pub over: Vec<Metric>,
}

/// Something that happened to a rollout.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutEvent {
    /// A stage has begun.
    Stage {
        /// Which, from 0.
        stage: usize,
        /// Its weights.
        weights: Box<[u32]>,
    },
    /// A stage's time is over, and a target looks worse than it may, which is not sure yet: the rollout stays where it is.
    Held {
        /// The target.
        target: Arc<str>,
        /// What it is above.
        metric: Metric,
    },
    /// A target is worse than it may be.
    Breached {
        /// The target.
        target: Arc<str>,
        /// What it is above.
        metric: Metric,
        /// The share of its attempts in this stage that were.
        observed: f64,
        /// The share that may be.
        allowed: f64,
    },
    /// A step of a gradual rollback has begun.
    RollingBack {
        /// What all but the baseline get together, in percent.
        percent: u32,
    },
    /// The baseline has all requests again.
    RolledBack,
    /// It stays in its stage.
    Paused,
    /// It goes on.
    Resumed,
    /// All requests go to one target, or no longer.
    Forced {
        /// The target.
        target: Option<Arc<str>>,
    },
    /// The last stage is passed.
    Complete,
    /// Somebody else has changed where it is (an operator, another replica), and that holds now.
    Edited,
    /// What somebody has written there cannot hold: what held before still does.
    StateRefused {
        /// Why.
        reason: String,
    },
    /// Where it is could not be read or written down. It goes on by itself meanwhile.
    StateNotKept {
        /// Why.
        reason: String,
    },
}

impl RolloutEvent {
    /// Whether somebody should look at it.
    pub fn alerts(&self) -> bool {
        matches!(
            self,
            Self::Held { .. }
                | Self::Breached { .. }
                | Self::RolledBack
                | Self::StateRefused { .. }
                | Self::StateNotKept { .. }
        )
    }
}

impl fmt::Display for RolloutEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage { stage, weights } => {
                write!(f, "stage {} with the weights {weights:?}", stage + 1)
            }
            Self::Held { target, metric } => {
                write!(
                    f,
                    "stays in its stage: {target} looks worse than it may by {metric}"
                )
            }
            Self::Breached {
                target,
                metric,
                observed,
                allowed,
            } => write!(
                f,
                "{target} is worse than it may by {metric}: {:.2} % of its attempts where {:.2} % are allowed",
                observed * 100.0,
                allowed * 100.0
            ),
            Self::RollingBack { percent } => write!(f, "rolling back: {percent} %"),
            Self::RolledBack => f.write_str("rolled back: the baseline has all requests"),
            Self::Paused => f.write_str("paused"),
            Self::Resumed => f.write_str("resumed"),
            Self::Forced {
                target: Some(target),
            } => write!(f, "all requests go to {target}"),
            Self::Forced { target: None } => f.write_str("requests go by weight again"),
            Self::Complete => f.write_str("complete"),
            Self::Edited => f.write_str("its state was changed by another hand"),
            Self::StateRefused { reason } => {
                write!(f, "the state that was written for it cannot hold: {reason}")
            }
            Self::StateNotKept { reason } => write!(f, "its state is not kept: {reason}"),
        }
    }
}

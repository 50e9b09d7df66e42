//! What a rollout is to do.

use std::{sync::Arc, time::Duration};

use super::limits::Limits;

/// Shares of a gradual rollback, in percent, as guide D has them.
pub(super) const ROLLBACK_PERCENT: [u32; 3] = [25, 5, 0];

/// What a rollout is to do: checked, and the same from beginning to end.
#[derive(Debug)]
pub(super) struct Plan {
    /// The baseline, and then the others.
    pub(super) targets: Vec<Arc<str>>,
    /// The weights of each stage, one for each target.
    pub(super) stages: Vec<Box<[u32]>>,
    pub(super) stage_time: Duration,
    pub(super) minimum_requests: u64,
    pub(super) limits: Limits,
    /// The share of healthy rollouts, at most, that a limit of a target brings down.
    pub(super) alpha: f64,
    pub(super) rollback_step: Duration,
    pub(super) window: Duration,
}

impl Plan {
    pub(super) fn stage(&self, stage: usize) -> &[u32] {
        self.stages.get(stage).map_or(&[], |weights| weights)
    }

    /// Weights by which only the baseline gets requests.
    pub(super) fn baseline_only(&self) -> Box<[u32]> {
        let share = |place| u32::from(place == 0);
        (0..self.targets.len()).map(share).collect()
    }

    /// The share of requests, in parts of a million, that do not go to the baseline at `stage`.
    pub(super) fn shifted(&self, stage: usize) -> u64 {
        let weights = self.stage(stage);
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let baseline = weights.first().map_or(0, |weight| u64::from(*weight));
        (sum - baseline) * 1_000_000 / sum.max(1)
    }

    /// The weights of `stage`, brought down until all but the baseline have `percent` of the requests together.
    pub(super) fn reduced(&self, stage: usize, percent: u32) -> Box<[u32]> {
        const WHOLE: u32 = 1_000_000;
        let weights = self.stage(stage);
        let others = weights.iter().skip(1).map(|weight| u64::from(*weight));
        let sum: u64 = others.clone().sum();
        let share = u64::from(percent) * u64::from(WHOLE) / 100;
        let mut reduced = vec![0];
        for weight in others {
            reduced.push(u32::try_from(weight * share / sum.max(1)).unwrap_or(0));
        }
        let given: u32 = reduced.iter().sum();
        if let Some(baseline) = reduced.first_mut() {
            *baseline = WHOLE.saturating_sub(given);
        }
        reduced.into()
    }
}

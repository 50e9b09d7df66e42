use std::{sync::Arc, time::Duration};

use super::{RolloutBuilder, RolloutShared, RolloutStatus, state::Machine};
use crate::message::ConfigError;

/// A rollout that runs: shows and steers it. Clones are the same one. What is done through it holds for the next request.
///
/// See the [module](super) for what it does.
#[derive(Debug, Clone)]
pub struct Rollout {
    shared: Arc<RolloutShared>,
}

impl Rollout {
    /// Settings to choose before [`build`](RolloutBuilder::build).
    pub fn builder() -> RolloutBuilder {
        RolloutBuilder::default()
    }

    pub(super) fn new(shared: Arc<RolloutShared>) -> Self {
        Self { shared }
    }

    /// How long a stage takes at least, and how many requests each target must have had in it.
    pub(super) fn plan(&self) -> (Duration, u64) {
        (
            self.shared.plan.stage_time,
            self.shared.plan.minimum_requests,
        )
    }

    /// An attempt at a target has ended.
    #[cfg(all(test, feature = "redis"))]
    pub(super) fn saw(&self, target: usize, sample: &super::view::Sample) {
        self.shared.saw(target, sample);
    }

    /// How it stands.
    pub fn status(&self) -> RolloutStatus {
        let mut status = self.shared.with(|machine, now| {
            machine.tick(now);
            machine.status(now)
        });
        if let Some(weights) = self.shared.weights_in_force() {
            for (target, weight) in status.targets.iter_mut().zip(weights) {
                target.weight = weight;
            }
        }
        status
    }

    /// Stays in its stage. A target that fails is still rolled back.
    pub fn pause(&self) {
        self.decide(Machine::pause);
    }

    /// Goes on where it was paused. One that is rolled back, or on its way, begins again at its first stage.
    pub fn resume(&self) {
        self.decide(Machine::resume);
    }

    /// Gives the baseline all requests, at once.
    pub fn rollback_now(&self) {
        self.decide(Machine::rollback_now);
    }

    /// Gives the baseline all requests by and by: the others keep 25 % for five minutes, 5 % for five more, and then nothing; never more
    /// than they have now.
    pub fn rollback_gradually(&self) {
        self.decide(Machine::rollback_gradually);
    }

    /// Sends all stateless requests to one target, whatever the stage says and however it does, until that is over (`None`). The
    /// stage's time stands still meanwhile.
    ///
    /// # Errors
    ///
    /// When there is no such target.
    pub fn force(&self, target: Option<&str>) -> Result<(), ConfigError> {
        let names = &self.shared.plan.targets;
        let place_of = |name: &str| {
            let place = names.iter().position(|target| &**target == name);
            place.ok_or_else(|| {
                let reason = format!("{name:?} is not there: known are {}", names.join(", "));
                ConfigError::new("target", reason)
            })
        };
        let place = target.map(place_of).transpose()?;
        self.decide(|machine| machine.force(place));
        Ok(())
    }

    fn decide(&self, act: impl FnOnce(&mut Machine)) {
        self.shared.with(|machine, now| {
            machine.tick(now);
            machine.decide(act);
        });
    }
}

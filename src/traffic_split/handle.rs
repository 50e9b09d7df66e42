use std::sync::{Arc, Weak, atomic::Ordering};

use super::{
    layer::{Shared, Steering},
    rollout::RolloutShared,
    state::Weights,
};
use crate::message::ConfigError;

/// Shows and changes the weights of a running split. Each change is taken as a whole: no request sees half of it.
#[derive(Debug, Clone)]
pub struct TrafficSplitHandle {
    shared: Arc<Shared>,
}

/// What steers a split without keeping it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakSteering(Weak<Steering>);

impl PartialEq for WeakSteering {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl WeakSteering {
    /// The weights, while there is a split.
    pub(super) fn weights(&self) -> Option<Box<[u32]>> {
        let steering = self.0.upgrade()?;
        Some(steering.weights.load().each.clone())
    }

    /// Replaces weights and target at once, while there is a split.
    pub(super) fn steer(&self, weights: &[u32], forced: Option<usize>) -> Result<(), ConfigError> {
        let Some(steering) = self.0.upgrade() else {
            return Ok(());
        };
        let weights = Weights::new(weights, steering.names.len())?;
        steering.weights.store(Arc::new(weights.forced(forced)));
        Ok(())
    }
}

impl TrafficSplitHandle {
    pub(crate) fn steering(&self) -> WeakSteering {
        WeakSteering(Arc::downgrade(&self.shared.steering))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The targets' names, the baseline first.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.shared.members.iter().map(|member| &member.name)
    }

    /// The weights, in the order of the targets.
    pub fn weights(&self) -> Box<[u32]> {
        self.shared.steering.weights.load().each.clone()
    }

    /// Replaces the weights, in the order of the targets. A [rollout](super::rollout) of this split replaces them in turn when it next moves; so
    /// operators, who come by [`Control`](crate::control::Control), are refused until it is complete.
    ///
    /// # Errors
    ///
    /// When there is not one for each target, one is above 1,000,000, or all are zero.
    pub fn set_weights(&self, weights: &[u32]) -> Result<(), ConfigError> {
        let weights = Weights::new(weights, self.shared.members.len())?;
        let change = |now: &Arc<Weights>| weights.forced(now.forced);
        self.shared.steering.weights.rcu(change);
        Ok(())
    }

    /// Whether these weights can be this split's.
    pub(super) fn check_weights(&self, weights: &[u32]) -> Result<(), ConfigError> {
        Weights::new(weights, self.shared.members.len()).map(drop)
    }

    /// Whether a rollout is in charge of the weights.
    pub(super) fn is_rolled_out(&self) -> bool {
        let rollout = self.shared.steering.rollout.load();
        rollout
            .as_ref()
            .is_some_and(|rollout| rollout.is_in_charge())
    }

    /// Sends all stateless requests to one target, whatever the weights, and leaves these as they are for when it is over (`None`).
    ///
    /// # Errors
    ///
    /// When there is no such target.
    pub fn force(&self, target: Option<&str>) -> Result<(), ConfigError> {
        let place = target.map(|name| self.place_of(name)).transpose()?;
        self.shared.steering.weights.rcu(|now| now.forced(place));
        Ok(())
    }

    /// Where all stateless requests are sent.
    pub fn forced(&self) -> Option<&Arc<str>> {
        let place = self.shared.steering.weights.load().forced?;
        self.shared.members.get(place).map(|member| &member.name)
    }

    /// How many requests each target was sent, in the order of the targets.
    pub fn counts(&self) -> Vec<u64> {
        let members = self.shared.members.iter();
        members
            .map(|member| member.count.load(Ordering::Relaxed))
            .collect()
    }

    pub(super) fn place_of(&self, name: &str) -> Result<usize, ConfigError> {
        self.shared.place_of(name).ok_or_else(|| {
            let names: Vec<_> = self.targets().map(|name| &**name).collect();
            let reason = format!("{name:?} is not there: known are {}", names.join(", "));
            ConfigError::new("target", reason)
        })
    }

    pub(super) fn attach(&self, rollout: Arc<RolloutShared>) {
        self.shared.steering.rollout.store(Some(rollout));
    }

    /// No rollout has a say any longer. The weights stay.
    #[cfg(feature = "gateway")]
    pub(crate) fn detach(&self) {
        self.shared.steering.rollout.store(None);
    }
}

//! What a rollout's parts share, and how attempts reach it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    plan::Plan,
    state::Machine,
    status::{RolloutEvent, RolloutState},
    view::Sample,
};
use crate::traffic_split::{TrafficSplitHandle, handle::WeakSteering};

/// A rollout, for all who steer it, feed it and show it.
pub(in crate::traffic_split) struct RolloutShared {
    pub(super) plan: Arc<Plan>,
    machine: Mutex<Machine>,
    /// Weak, as the split holds the rollout.
    split: WeakSteering,
    events: mpsc::Sender<RolloutEvent>,
    /// The upstream by whose attempts alone each target is judged.
    judged_by: Vec<Option<Arc<str>>>,
    /// Attempts that other replicas are to learn of.
    attempts: Option<mpsc::Sender<(usize, Sample)>>,
    /// There is something to write down.
    changed: Notify,
}

impl RolloutShared {
    pub(super) fn new(
        plan: Arc<Plan>,
        machine: Machine,
        split: &TrafficSplitHandle,
        events: mpsc::Sender<RolloutEvent>,
        judged_by: Vec<Option<Arc<str>>>,
        attempts: Option<mpsc::Sender<(usize, Sample)>>,
    ) -> Self {
        Self {
            plan,
            machine: Mutex::new(machine),
            split: split.steering(),
            events,
            judged_by,
            attempts,
            changed: Notify::new(),
        }
    }

    /// Puts the first weights in force.
    pub(super) fn begin(&self) {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        self.steer(&machine);
    }

    /// Does something with the rollout, and sees to what comes of it: weights at once, before anybody else has a word.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Machine, Instant) -> T) -> T {
        // A machine whose change was broken off by a panic is still one: each of its fields holds by itself.
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let before = machine.revision();
        let result = act(&mut machine, Instant::now());
        if machine.revision() != before {
            self.steer(&machine);
            self.changed.notify_one();
        }
        let events = machine.take_events();
        drop(machine);
        for event in events {
            self.tell(event);
        }
        result
    }

    /// Whether the weights are its own: until it has passed its last stage. One that went back keeps them there until it is told to go on.
    pub(in crate::traffic_split) fn is_in_charge(&self) -> bool {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.state() != RolloutState::Complete
    }

    /// The weights of the split, while there is one: an operator may have set others since it is complete.
    pub(super) fn weights_in_force(&self) -> Option<Box<[u32]>> {
        self.split.weights()
    }

    /// Waits until there is something to write down that was not waited for yet.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// An attempt at a target has ended here.
    pub(super) fn saw(&self, target: usize, sample: &Sample) {
        self.with(|machine, now| machine.record(target, sample, now));
        if let Some(attempts) = &self.attempts {
            let _ = attempts.try_send((target, *sample));
        }
    }

    fn steer(&self, machine: &Machine) {
        // The stages were checked, and what is made of them is no larger.
        if let Err(error) = self.split.steer(&machine.weights(), machine.forced()) {
            tracing::error!(%error, "a rollout's weights cannot hold");
        }
    }

    /// Logs what happened, and hands it to the worker if that has room.
    pub(super) fn tell(&self, event: RolloutEvent) {
        if event.alerts() {
            tracing::warn!(rollout = ?self.plan.targets, %event, "rollout");
        } else {
            tracing::info!(rollout = ?self.plan.targets, %event, "rollout");
        }
        let _ = self.events.try_send(event);
    }
}

impl fmt::Debug for RolloutShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RolloutShared")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// Who is told what became of a request's attempts: the rollouts of the splits that it went through, the innermost first.
#[derive(Debug)]
pub(in crate::traffic_split) struct Track {
    target: usize,
    rollout: Arc<RolloutShared>,
    outer: Option<Arc<Self>>,
}

impl Track {
    pub(in crate::traffic_split) fn new(
        target: usize,
        rollout: Arc<RolloutShared>,
        outer: Option<Arc<Self>>,
    ) -> Self {
        Self {
            target,
            rollout,
            outer,
        }
    }

    /// Whether anyone judges by what attempts cost.
    pub(super) fn wants_cost(&self) -> bool {
        self.all()
            .any(|track| track.rollout.plan.limits.has(super::Metric::Cost))
    }

    /// Tells of an attempt at `upstream`.
    pub(super) fn record(&self, upstream: Option<&str>, sample: &Sample) {
        for track in self.all() {
            let only = track.rollout.judged_by.get(track.target);
            if let Some(Some(only)) = only
                && upstream != Some(&**only)
            {
                continue;
            }
            track.rollout.saw(track.target, sample);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |track| track.outer.as_deref())
    }
}

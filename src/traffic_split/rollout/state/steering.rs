//! What an operator does about a rollout, and what follows from a breach.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        plan::ROLLBACK_PERCENT,
        saved::Saved,
        status::{RolloutEvent, RolloutState},
    },
    Machine,
};

impl Machine {
    /// Does what an operator says here.
    pub(in super::super) fn decide(&mut self, act: impl FnOnce(&mut Self)) {
        let before = self.revision;
        act(self);
        if self.revision != before {
            self.decided = self.revision;
        }
    }

    pub(in super::super) fn pause(&mut self) {
        if self.state == RolloutState::Active {
            self.state = RolloutState::Paused;
            self.changed(RolloutEvent::Paused);
        }
    }

    /// Goes on where it was paused; or, where it is on its way back or there, begins again.
    pub(in super::super) fn resume(&mut self) {
        match self.state {
            RolloutState::Paused => {
                self.state = RolloutState::Active;
                self.changed(RolloutEvent::Resumed);
            }
            RolloutState::RollingBack | RolloutState::RolledBack => {
                self.state = RolloutState::Active;
                self.acquit();
                self.begin_stage(0);
            }
            RolloutState::Active | RolloutState::Complete => {}
        }
    }

    pub(in super::super) fn rollback_now(&mut self) {
        if self.state != RolloutState::RolledBack || self.forced.is_some() {
            self.forced = None;
            self.state = RolloutState::RolledBack;
            self.restart_clock();
            self.changed(RolloutEvent::RolledBack);
        }
    }

    pub(in super::super) fn rollback_gradually(&mut self) {
        let is_back = matches!(
            self.state,
            RolloutState::RollingBack | RolloutState::RolledBack
        );
        if is_back {
            return;
        }
        self.forced = None;
        let shifted = self.plan.shifted(self.stage);
        let below = |percent: &u32| u64::from(*percent) * 10_000 < shifted;
        let first = ROLLBACK_PERCENT.iter().position(below);
        self.state = RolloutState::RollingBack;
        self.step_back(first.unwrap_or(ROLLBACK_PERCENT.len()));
    }

    pub(super) fn step_back(&mut self, step: usize) {
        match ROLLBACK_PERCENT.get(step) {
            None | Some(0) => self.rollback_now(),
            Some(percent) => {
                self.restart_clock();
                self.step = step;
                self.changed(RolloutEvent::RollingBack { percent: *percent });
            }
        }
    }

    /// Sends everything to one target, or goes on by weight.
    pub(in super::super) fn force(&mut self, place: Option<usize>) {
        if self.forced != place {
            self.forced = place;
            let target = place.and_then(|place| self.plan.targets.get(place).cloned());
            self.changed(RolloutEvent::Forced { target });
        }
    }

    fn place_of(&self, name: &Arc<str>) -> Option<usize> {
        self.plan.targets.iter().position(|target| target == name)
    }

    /// Takes over what was written down, in this process or another, or by hand.
    pub(in super::super) fn adopt(&mut self, saved: &Saved) {
        if (saved.state, saved.stage) != (self.state, self.stage) {
            self.acquit();
        }
        self.restart_clock();
        self.state = saved.state;
        self.stage = saved.stage;
        self.elapsed = Duration::from_secs(saved.elapsed_seconds);
        self.step = saved.step;
        self.forced = saved.force.as_ref().and_then(|name| self.place_of(name));
        for (watched, requests) in self.targets.iter_mut().zip(&saved.requests) {
            watched.requests = *requests;
        }
        self.changed(RolloutEvent::Edited);
    }
}

/// What it takes from others who have the same rollout.
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "only replicas do"))]
impl Machine {
    /// Leaves all to the baseline until somebody knows where it was.
    pub(in super::super) fn wait(&mut self) {
        self.unknown = true;
    }

    /// It was nowhere: begins.
    pub(in super::super) fn begin(&mut self) {
        if std::mem::take(&mut self.unknown) {
            self.restart_clock();
            let weights = self.plan.stage(self.stage).into();
            let stage = self.stage;
            self.changed(RolloutEvent::Stage { stage, weights });
        }
    }

    /// Whether nobody has said yet where it was.
    pub(in super::super) fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Takes over what another replica, or an operator, has decided for all.
    pub(in super::super) fn join(&mut self, saved: &Saved) {
        if self.is_at(saved) {
            self.keep_pace(saved);
            return;
        }
        self.unknown = false;
        self.adopt(saved);
        self.recall(saved);
    }

    /// Is no further behind than another replica that is at the same place.
    pub(in super::super) fn keep_pace(&mut self, saved: &Saved) {
        if self.is_at(saved) {
            self.elapsed = self.elapsed.max(Duration::from_secs(saved.elapsed_seconds));
        }
    }

    fn is_at(&self, saved: &Saved) -> bool {
        let forced = saved.force.as_ref().and_then(|name| self.place_of(name));
        let theirs = (saved.state, saved.stage, saved.step, forced);
        !self.unknown && theirs == (self.state, self.stage, self.step, self.forced)
    }
}

//! Where a rollout is, and where it goes: pure, with the time as an argument.

mod judging;
mod steering;

use std::{mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use self::judging::Watched;
use super::{
    judge::{Judge, Reference},
    limits::Metric,
    plan::{Plan, ROLLBACK_PERCENT},
    saved::Saved,
    status::{RolloutEvent, RolloutState, RolloutStatus, TargetStatus},
};

/// What the targets are compared with is looked at anew this often.
const REFRESH: Duration = Duration::from_secs(1);

/// A rollout.
#[derive(Debug)]
pub(super) struct Machine {
    plan: Arc<Plan>,
    state: RolloutState,
    stage: usize,
    /// The time spent in the stage, or in the step back.
    elapsed: Duration,
    /// Of a gradual rollback.
    step: usize,
    forced: Option<usize>,
    /// It is not known yet where it was: the baseline has all requests.
    unknown: bool,
    /// When `elapsed` was last brought up to date.
    since: Instant,
    /// It was said that the stage's time is over and it stays.
    held: bool,
    targets: Vec<Watched>,
    reference: Reference,
    refreshed: Option<Instant>,
    events: Vec<RolloutEvent>,
    revision: u64,
    /// The revision that an operator made last, here.
    decided: u64,
}

impl Machine {
    /// At its first stage, or where it was `saved`.
    pub(super) fn new(plan: Arc<Plan>, saved: Option<&Saved>, now: Instant) -> Self {
        let watched = |_| Watched::new(&plan, now);
        let mut machine = Self {
            targets: (0..plan.targets.len()).map(watched).collect(),
            plan,
            state: RolloutState::Active,
            stage: 0,
            elapsed: Duration::ZERO,
            step: 0,
            forced: None,
            unknown: false,
            since: now,
            held: false,
            reference: Reference::default(),
            refreshed: None,
            events: Vec::new(),
            revision: 0,
            decided: 0,
        };
        if let Some(saved) = saved {
            machine.adopt(saved);
            machine.recall(saved);
            machine.events.clear();
        }
        machine
    }

    /// Counts every change of what is to be written down.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The revision that an operator made last, here.
    pub(super) fn decided(&self) -> u64 {
        self.decided
    }

    pub(super) fn state(&self) -> RolloutState {
        self.state
    }

    pub(super) fn forced(&self) -> Option<usize> {
        self.forced
    }

    pub(super) fn take_events(&mut self) -> Vec<RolloutEvent> {
        mem::take(&mut self.events)
    }

    /// The weights that hold.
    pub(super) fn weights(&self) -> Box<[u32]> {
        if self.unknown {
            return self.plan.baseline_only();
        }
        match self.state {
            RolloutState::Active | RolloutState::Paused | RolloutState::Complete => {
                self.plan.stage(self.stage).into()
            }
            RolloutState::RollingBack => {
                let percent = ROLLBACK_PERCENT.get(self.step).copied().unwrap_or(0);
                self.plan.reduced(self.stage, percent)
            }
            RolloutState::RolledBack => self.plan.baseline_only(),
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        self.since = self.since.max(now);
        self.refresh(now);
        if self.forced.is_some() || self.unknown {
            return;
        }
        match self.state {
            RolloutState::Active => {
                self.elapsed += passed;
                if self.elapsed >= self.plan.stage_time && self.has_passed() {
                    self.advance();
                }
            }
            RolloutState::RollingBack => {
                self.elapsed += passed;
                if self.elapsed >= self.plan.rollback_step {
                    self.step_back(self.step + 1);
                }
            }
            RolloutState::Paused | RolloutState::RolledBack | RolloutState::Complete => {}
        }
    }

    /// Whether every target of the stage was asked often enough, and looks as it should.
    fn has_passed(&mut self) -> bool {
        let mut over = None;
        let weights = self.plan.stage(self.stage).iter();
        let watched = self.targets.iter().zip(weights).zip(&self.plan.targets);
        for ((watched, weight), name) in watched.skip(1) {
            if *weight == 0 {
                continue;
            }
            if watched.requests < self.plan.minimum_requests {
                return false;
            }
            let suspect = watched.judges.iter().find(|judge| judge.is_over());
            over = over.or(suspect.map(|judge| (Arc::clone(name), judge.metric)));
        }
        let Some((target, metric)) = over else {
            return true;
        };
        if !mem::replace(&mut self.held, true) {
            self.events.push(RolloutEvent::Held { target, metric });
        }
        false
    }

    fn advance(&mut self) {
        if self.stage + 1 < self.plan.stages.len() {
            self.begin_stage(self.stage + 1);
        } else {
            self.state = RolloutState::Complete;
            self.changed(RolloutEvent::Complete);
        }
    }

    fn begin_stage(&mut self, stage: usize) {
        self.stage = stage;
        self.restart_clock();
        for watched in &mut self.targets {
            watched.requests = 0;
            watched.judges.iter_mut().for_each(Judge::begin_stage);
        }
        self.changed(RolloutEvent::Stage {
            stage,
            weights: self.plan.stage(stage).into(),
        });
    }

    fn restart_clock(&mut self) {
        self.elapsed = Duration::ZERO;
        self.step = 0;
        self.held = false;
    }

    fn changed(&mut self, event: RolloutEvent) {
        self.revision += 1;
        self.events.push(event);
    }

    /// What is to be written down.
    pub(super) fn saved(&self) -> Saved {
        let mut saved = Saved::new(&self.plan, self.state, self.stage);
        saved.elapsed_seconds = self.elapsed.as_secs();
        saved.step = self.step;
        saved.requests = self
            .targets
            .iter()
            .map(|watched| watched.requests)
            .collect();
        saved.force = self
            .forced
            .and_then(|place| self.plan.targets.get(place).cloned());
        saved.weights = self.weights().into();
        let evidence = self.targets.iter().map(|watched| watched.judges.clone());
        saved.evidence = evidence.collect();
        saved
    }

    pub(super) fn status(&self, now: Instant) -> RolloutStatus {
        let weights = self.weights();
        let targets = self.plan.targets.iter().zip(&self.targets).zip(&weights);
        let targets = targets.map(|((name, watched), weight)| TargetStatus {
            name: Arc::clone(name),
            weight: *weight,
            requests: watched.requests,
            error_rate: watched.view.outcomes(now).failure_rate(),
            p95: watched.view.histogram(Metric::P95, now).quantile(0.95),
            over: watched
                .judges
                .iter()
                .filter(|judge| judge.is_over())
                .map(|judge| judge.metric)
                .collect(),
        });
        RolloutStatus {
            state: self.state,
            stage: self.stage,
            stages: self.plan.stages.len(),
            elapsed: self.elapsed,
            forced: self
                .forced
                .and_then(|place| self.plan.targets.get(place).cloned()),
            targets: targets.collect(),
        }
    }
}

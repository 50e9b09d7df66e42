//! What attempts say about the targets, and what follows from it.

use tokio::time::Instant;

use super::{
    super::{
        judge::{Judge, Reference},
        limits::Metric,
        plan::Plan,
        saved::Saved,
        status::{RolloutEvent, RolloutState},
        view::{Sample, View},
    },
    Machine, REFRESH,
};

/// What was seen of one target.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) view: View,
    /// One for each limit.
    pub(super) judges: Vec<Judge>,
    /// Attempts in this stage.
    pub(super) requests: u64,
}

impl Watched {
    pub(super) fn new(plan: &Plan, now: Instant) -> Self {
        Self {
            view: View::new(now, plan.window),
            judges: Self::judges(plan),
            requests: 0,
        }
    }

    fn judges(plan: &Plan) -> Vec<Judge> {
        let limited = Metric::ALL.into_iter();
        limited
            .filter(|metric| plan.limits.has(*metric))
            .map(Judge::new)
            .collect()
    }
}

impl Machine {
    /// Takes note of how an attempt at a target ended, and goes back at once if that is one too many.
    pub(in super::super) fn record(&mut self, target: usize, sample: &Sample, now: Instant) {
        self.refresh(now);
        let is_judged = self.forced.is_none()
            && !self.unknown
            && !matches!(
                self.state,
                RolloutState::RolledBack | RolloutState::Complete
            );
        let Some(watched) = self.targets.get_mut(target) else {
            return;
        };
        watched.view.add(sample, now);
        watched.requests += 1;
        if !is_judged {
            return;
        }
        for judge in &mut watched.judges {
            judge.add(sample, &self.reference);
            if target == 0 {
                judge.note_suffering(now);
            }
        }
        if target > 0
            && let Some(metric) = self.breach(target, now)
        {
            self.breached(target, metric);
        }
    }

    /// The limit that the target surely exceeds, while the baseline does not.
    fn breach(&mut self, target: usize, now: Instant) -> Option<Metric> {
        let alpha = self.plan.alpha;
        let (baseline, others) = self.targets.split_first_mut()?;
        let watched = others.get_mut(target.checked_sub(1)?)?;
        for (judge, baseline) in watched.judges.iter_mut().zip(&baseline.judges) {
            if !judge.is_breached(alpha) {
                continue;
            }
            if !judge.is_shared_by(baseline, now) {
                return Some(judge.metric);
            }
            // What happened while all suffered says nothing about this one.
            judge.acquit();
        }
        None
    }

    fn breached(&mut self, target: usize, metric: Metric) {
        let judge = self.targets.get(target).and_then(|watched| {
            let mut judges = watched.judges.iter();
            judges.find(|judge| judge.metric == metric)
        });
        let (observed, allowed) = judge.map_or((0.0, 0.0), Judge::shares);
        if let Some(target) = self.plan.targets.get(target).cloned() {
            self.events.push(RolloutEvent::Breached {
                target,
                metric,
                observed,
                allowed,
            });
        }
        self.rollback_now();
    }

    /// Forgets what was seen of the targets before.
    pub(super) fn acquit(&mut self) {
        for watched in &mut self.targets {
            watched.judges = Watched::judges(&self.plan);
            watched.requests = 0;
        }
    }

    /// Takes up what was known of the targets when `saved` was written: evidence counts on, wherever the rollout goes on.
    pub(super) fn recall(&mut self, saved: &Saved) {
        for (watched, known) in self.targets.iter_mut().zip(&saved.evidence) {
            for judge in &mut watched.judges {
                // What was sure has led to a rollback already; whoever goes on after it has decided otherwise.
                let is_open = |known: &&Judge| {
                    known.metric == judge.metric && !known.is_breached(self.plan.alpha)
                };
                if let Some(known) = known.iter().find(is_open) {
                    *judge = known.clone();
                }
            }
        }
    }

    pub(super) fn refresh(&mut self, now: Instant) {
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < REFRESH;
        if self.refreshed.is_some_and(is_fresh) {
            return;
        }
        self.refreshed = Some(now);
        if let Some(baseline) = self.targets.first() {
            self.reference = Reference::new(&self.plan.limits, &baseline.view, now);
        }
    }
}

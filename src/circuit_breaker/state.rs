//! When a circuit opens, and how it closes again. Pure: the time is an argument.
//!
//! ```text
//!          failures, limits, no quota                 its time is over
//!  closed ───────────────────────────► open ───────────────────────────► half-open
//!    ▲                                  ▲                                 │     │
//!    │ whole share        as closed     │             a probe fails       │     │
//!    └──────────── slow start ──────────┴─────────────────────────────────┘     │
//!                      ▲                      all probes succeed                │
//!                      └────────────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::{policy::CircuitBreakerBuilder, probes::Probes, record::Record};
use crate::{
    message::{Outcome, Verdict},
    stats::Availability,
};

/// The wait that is advised where it is not known when there will be room.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// What a circuit does with calls.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// It passes all of them.
    Closed,
    /// It has recovered, and passes a share that grows.
    SlowStart,
    /// It refuses all of them.
    Open {
        /// Until then.
        until: Instant,
    },
    /// It passes a few, to see how the upstream does.
    HalfOpen,
    /// It refuses all of them, because somebody said so.
    ForcedOpen,
    /// It passes all of them and judges none, because somebody said so.
    ForcedClosed,
}

impl CircuitState {
    /// As a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::SlowStart => "slow_start",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

/// One circuit.
#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    /// Grows with every change between closed, open and half-open. A result counts in the generation that admitted its call.
    generation: u64,
    /// Grows with every change of what is published.
    revision: u64,
    record: Record,
    /// How often it opened since it was last well.
    openings: u32,
    recovered_at: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Closed,
    SlowStart {
        since: Instant,
        /// In thousandths of a call.
        credit: u16,
    },
    Open {
        until: Instant,
    },
    HalfOpen(Probes),
    ForcedOpen,
    ForcedClosed,
}

/// A call that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) generation: u64,
    /// The probe that it is, if it is one.
    pub(super) probe: Option<u64>,
}

impl State {
    pub(super) fn new(policy: &CircuitBreakerBuilder, now: Instant) -> Self {
        Self {
            phase: Phase::Closed,
            // Zero is no generation: see `gate`.
            generation: 1,
            revision: 0,
            record: Record::new(policy, now),
            openings: 0,
            recovered_at: None,
        }
    }

    /// Nothing is counted against it any more; whatever it does it does on.
    #[cfg(feature = "gateway")]
    pub(super) fn forget_calls(&mut self, policy: &CircuitBreakerBuilder, now: Instant) {
        self.record = Record::new(policy, now);
    }

    /// The generation of calls that may pass without asking, or 0 when each must ask.
    pub(super) fn gate(&self) -> u64 {
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => self.generation,
            _ => 0,
        }
    }

    /// Changes whenever [`availability`](Self::availability) may.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether a call may pass at `now`; if not, the wait to advise.
    pub(super) fn admit(
        &mut self,
        policy: &CircuitBreakerBuilder,
        now: Instant,
    ) -> Result<Admission, Duration> {
        self.advance(policy, now);
        let whole = Availability::WHOLE;
        let share = self.availability(policy).weight(now);
        let generation = self.generation;
        let admission = |probe| Admission { generation, probe };
        match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed => Ok(admission(None)),
            Phase::SlowStart { credit, .. } => {
                *credit = credit.saturating_add(share);
                *credit = credit.checked_sub(whole).ok_or(SOON)?;
                Ok(admission(None))
            }
            Phase::Open { until } => Err(until.saturating_duration_since(now)),
            Phase::ForcedOpen => Err(policy.open_for),
            Phase::HalfOpen(probes) => Ok(admission(Some(probes.admit(policy, now)?))),
        }
    }

    /// Counts what came of a call that was admitted.
    pub(super) fn settle(
        &mut self,
        policy: &CircuitBreakerBuilder,
        now: Instant,
        admission: Admission,
        outcome: Outcome,
    ) {
        self.advance(policy, now);
        let verdict = outcome.verdict();
        if admission.generation != self.generation {
            // It says nothing of the circuit as it is now; but the upstream's own wait, just learned, holds all the same.
            if let (Phase::Open { until }, Some(wait)) = (&mut self.phase, asked(policy, outcome)) {
                let longer = now + wait;
                if longer > *until {
                    *until = longer;
                    self.revision += 1;
                }
            }
            return;
        }
        match &mut self.phase {
            Phase::Closed | Phase::SlowStart { .. } => {
                if self.record.breaks(policy, now, verdict) {
                    self.open(policy, now, outcome);
                }
            }
            Phase::HalfOpen(probes) => {
                probes.release(admission.probe);
                match verdict {
                    Verdict::Success => {
                        if probes.succeed(policy) {
                            self.close(policy, now);
                        }
                    }
                    Verdict::Failure | Verdict::RateLimited | Verdict::Exhausted => {
                        self.open(policy, now, outcome);
                    }
                    Verdict::Blameless | Verdict::Neutral => {}
                }
            }
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
    }

    /// Gives a call's place back without a verdict.
    pub(super) fn release(&mut self, admission: Admission) {
        if let (Phase::HalfOpen(probes), true) =
            (&mut self.phase, admission.generation == self.generation)
        {
            probes.release(admission.probe);
        }
    }

    /// Opens or closes it until [`reset`](Self::reset).
    pub(super) fn force(&mut self, open: bool) {
        self.enter(if open {
            Phase::ForcedOpen
        } else {
            Phase::ForcedClosed
        });
    }

    /// Makes it as new.
    pub(super) fn reset(&mut self) {
        self.enter(Phase::Closed);
        self.openings = 0;
        self.recovered_at = None;
    }

    /// What it does at `now`.
    pub(super) fn at(&self, policy: &CircuitBreakerBuilder, now: Instant) -> CircuitState {
        match self.phase {
            Phase::ForcedOpen => CircuitState::ForcedOpen,
            Phase::ForcedClosed => CircuitState::ForcedClosed,
            _ => match self.availability(policy).at(now) {
                Availability::Available => CircuitState::Closed,
                Availability::SlowStart { .. } => CircuitState::SlowStart,
                Availability::Unavailable { until } => CircuitState::Open {
                    until: until.unwrap_or(now),
                },
                Availability::Probing => CircuitState::HalfOpen,
            },
        }
    }

    /// What those who choose among upstreams are told.
    pub(super) fn availability(&self, policy: &CircuitBreakerBuilder) -> Availability {
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => Availability::Available,
            Phase::SlowStart { since, .. } => Availability::SlowStart {
                since,
                over: policy.slow_start,
                floor: policy.floor(),
            },
            Phase::Open { until } => Availability::Unavailable { until: Some(until) },
            Phase::HalfOpen(_) => Availability::Probing,
            Phase::ForcedOpen => Availability::Unavailable { until: None },
        }
    }

    /// Makes the changes that time makes.
    fn advance(&mut self, policy: &CircuitBreakerBuilder, now: Instant) {
        match self.phase {
            Phase::Open { until } if now >= until => self.enter(Phase::HalfOpen(Probes::default())),
            Phase::SlowStart { since, .. }
                if now.saturating_duration_since(since) >= policy.slow_start =>
            {
                // The same generation: what it admitted counts on.
                self.phase = Phase::Closed;
                self.revision += 1;
            }
            _ => {}
        }
    }

    fn open(&mut self, policy: &CircuitBreakerBuilder, now: Instant, outcome: Outcome) {
        let again = match self.phase {
            Phase::HalfOpen(_) => true,
            _ => self.recovered_at.is_some_and(|at| {
                now.saturating_duration_since(at) < policy.slow_start + policy.window
            }),
        };
        self.openings = if again {
            self.openings.saturating_add(1)
        } else {
            0
        };
        let doubled = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let grown = policy
            .open_for
            .saturating_mul(doubled)
            .min(policy.max_open_for);
        let wait = asked(policy, outcome).map_or(grown, |asked| grown.max(asked));
        self.enter(Phase::Open { until: now + wait });
    }

    fn close(&mut self, policy: &CircuitBreakerBuilder, now: Instant) {
        self.recovered_at = Some(now);
        self.enter(if policy.slow_start.is_zero() {
            Phase::Closed
        } else {
            Phase::SlowStart {
                since: now,
                // The first call passes.
                credit: Availability::WHOLE - policy.floor(),
            }
        });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
        self.revision += 1;
        self.record.clear();
    }
}

/// The wait that an outcome asks for, within bounds: the upstream's own, or that for a quota.
fn asked(policy: &CircuitBreakerBuilder, outcome: Outcome) -> Option<Duration> {
    match outcome {
        Outcome::RateLimited { retry_after } | Outcome::Overloaded { retry_after } => {
            retry_after.map(|wait| wait.min(policy.max_open_for))
        }
        Outcome::QuotaExhausted => Some(policy.quota_open_for),
        _ => None,
    }
}

//! The state machine beside a reference that keeps everything that ever happened and decides by looking at all of it.

use proptest::prelude::*;

use super::*;
use crate::message::Verdict;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Admit,
    /// The admitted call at this place (modulo their number) ends so.
    Settle(usize, Outcome),
    Drop(usize),
}

/// What the reference knows. Times are in milliseconds since the beginning.
#[derive(Default)]
struct Naive {
    now: u64,
    /// Every state after the first; the last is the one that holds.
    history: Vec<Era>,
    calls: Vec<Call>,
    /// Results that counted while closed: era, time, verdict.
    counted: Vec<(usize, u64, Verdict)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Era {
    Closed { since: Option<u64> },
    Open { until: u64, openings: u32 },
    HalfOpen { openings: u32 },
}

#[derive(Clone, Copy)]
struct Call {
    era: usize,
    at: u64,
    result: Option<Outcome>,
}

const WINDOW: u64 = 1_000;
const OPEN: u64 = 500;
const MAX_OPEN: u64 = 3_000;
const QUOTA: u64 = 10_000;
const LIFETIME: u64 = 700;
const PROBES: usize = 2;

fn policy() -> CircuitBreakerBuilder {
    let millis = Duration::from_millis;
    CircuitBreakerBuilder::default()
        .window(millis(WINDOW))
        .minimum_calls(4)
        .failure_rate(0.5)
        .rate_limited_rate(0.4)
        .consecutive_failures(3)
        .open_for(millis(OPEN))
        .max_open_for(millis(MAX_OPEN))
        .quota_open_for(millis(QUOTA))
        .probes(u32::try_from(PROBES).unwrap())
        .probe_lifetime(millis(LIFETIME))
        .slow_start(Duration::ZERO)
}

impl Naive {
    fn era(&self) -> (usize, Era) {
        match self.history.last() {
            Some(era) => (self.history.len(), *era),
            None => (0, Era::Closed { since: None }),
        }
    }

    fn tick(&mut self) {
        if let (_, Era::Open { until, openings }) = self.era()
            && self.now >= until
        {
            self.history.push(Era::HalfOpen { openings });
        }
    }

    fn admit(&mut self) -> bool {
        self.tick();
        let (era, kind) = self.era();
        let admits = match kind {
            Era::Closed { .. } => true,
            Era::Open { .. } => false,
            Era::HalfOpen { .. } => {
                let probes = self.calls.iter().filter(|call| call.era == era);
                let taken = probes.filter(|call| match call.result {
                    None => self.now < call.at + LIFETIME,
                    Some(outcome) => outcome == GOOD,
                });
                taken.count() < PROBES
            }
        };
        if admits {
            self.calls.push(Call {
                era,
                at: self.now,
                result: None,
            });
        }
        admits
    }

    fn settle(&mut self, call: usize, outcome: Outcome) {
        self.tick();
        let (era, kind) = self.era();
        self.calls[call].result = Some(outcome);
        let asked = match outcome {
            Outcome::QuotaExhausted => QUOTA,
            Outcome::Overloaded { retry_after } | Outcome::RateLimited { retry_after } => {
                let wait = retry_after.unwrap_or_default().as_millis();
                u64::try_from(wait).unwrap().min(MAX_OPEN)
            }
            _ => 0,
        };
        if self.calls[call].era != era {
            if let Some(Era::Open { until, .. }) = self.history.last_mut() {
                *until = (*until).max(self.now + asked);
            }
            return;
        }
        let verdict = outcome.verdict();
        let is_bad = matches!(
            verdict,
            Verdict::Failure | Verdict::RateLimited | Verdict::Exhausted
        );
        let openings = match kind {
            Era::HalfOpen { openings } if is_bad => openings + 1,
            Era::HalfOpen { .. } => {
                let good = self.calls.iter().filter(|call| call.era == era);
                if good.filter(|call| call.result == Some(GOOD)).count() >= PROBES {
                    let since = Some(self.now);
                    self.history.push(Era::Closed { since });
                }
                return;
            }
            Era::Closed { since } => {
                self.counted.push((era, self.now, verdict));
                if !is_bad || !self.is_too_much(era, verdict) {
                    return;
                }
                let again = since.is_some_and(|since| self.now - since < WINDOW);
                let before = self.history.iter().rev().find_map(|era| match era {
                    Era::Open { openings, .. } => Some(*openings),
                    _ => None,
                });
                before.filter(|_| again).map_or(0, |before| before + 1)
            }
            Era::Open { .. } => return,
        };
        let grown = (OPEN << openings.min(10)).min(MAX_OPEN);
        self.history.push(Era::Open {
            until: self.now + grown.max(asked),
            openings,
        });
    }

    fn is_too_much(&self, era: usize, verdict: Verdict) -> bool {
        let slice = |time: u64| time / (WINDOW / 10);
        let mine: Vec<_> = self.counted.iter().filter(|(of, ..)| *of == era).collect();
        let within = |wanted: Verdict| {
            mine.iter()
                .filter(|(_, at, what)| *what == wanted && slice(*at) + 10 > slice(self.now))
                .count()
        };
        let (good, bad) = (within(Verdict::Success), within(Verdict::Failure));
        let limited = within(Verdict::RateLimited);
        let in_a_row = mine
            .iter()
            .rev()
            .take_while(|(.., what)| *what != Verdict::Success)
            .filter(|(.., what)| *what == Verdict::Failure)
            .count();
        match verdict {
            Verdict::Exhausted => true,
            Verdict::RateLimited => {
                good + bad + limited >= 4 && limited * 10 > (good + bad + limited) * 4
            }
            _ => in_a_row >= 3 || (good + bad >= 4 && bad * 2 > good + bad),
        }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let wait = || proptest::option::of((0u64..5_000).prop_map(Duration::from_millis));
    prop_oneof![
        6 => Just(GOOD),
        5 => Just(BAD),
        2 => wait().prop_map(|retry_after| Outcome::RateLimited { retry_after }),
        2 => wait().prop_map(|retry_after| Outcome::Overloaded { retry_after }),
        1 => Just(Outcome::QuotaExhausted),
        1 => Just(Outcome::InvalidRequest),
        1 => Just(Outcome::Cancelled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => prop_oneof![0u64..50, 0u64..800, 0u64..4_000].prop_map(Step::Wait),
        4 => Just(Step::Admit),
        4 => (any::<usize>(), outcome()).prop_map(|(call, outcome)| Step::Settle(call, outcome)),
        1 => any::<usize>().prop_map(Step::Drop),
    ]
}

proptest! {
    #[test]
    fn it_does_what_a_record_of_everything_would(steps in prop::collection::vec(step(), 1..200)) {
        let mut bench = Bench::new(policy());
        let mut naive = Naive::default();
        // Calls that are on their way: the state's admission, and the reference's number.
        let mut running = Vec::new();
        for step in steps {
            match step {
                Step::Wait(millis) => {
                    bench.wait(Duration::from_millis(millis));
                    naive.now += millis;
                }
                Step::Admit => {
                    let admitted = bench.admit();
                    prop_assert_eq!(admitted.is_ok(), naive.admit());
                    if let Ok(admission) = admitted {
                        running.push((admission, naive.calls.len() - 1));
                    }
                }
                Step::Settle(at, outcome) if !running.is_empty() => {
                    let (admission, call) = running.swap_remove(at % running.len());
                    bench.settle(admission, outcome);
                    naive.settle(call, outcome);
                }
                Step::Drop(at) if !running.is_empty() => {
                    let (admission, call) = running.swap_remove(at % running.len());
                    bench.state.release(admission);
                    naive.calls[call].result = Some(Outcome::Cancelled);
                }
                Step::Settle(..) | Step::Drop(_) => {}
            }
            naive.tick();
            let expected = match naive.era().1 {
                Era::Closed { .. } => CircuitState::Closed,
                Era::HalfOpen { .. } => CircuitState::HalfOpen,
                Era::Open { until, .. } => CircuitState::Open {
                    until: bench.now + Duration::from_millis(until - naive.now),
                },
            };
            prop_assert_eq!(bench.is(), expected);
        }
    }
}

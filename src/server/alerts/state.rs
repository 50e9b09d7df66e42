//! When an alert fires and when it is over. Pure; `now` is an argument.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Rule, Rules, rule::Limit};

/// The things that are watched at most: beyond, what is new is not.
const MAX_WATCHED: usize = 1000;
/// The readings of a baseline at most, evenly over its window.
const MAX_BASELINE: usize = 120;
/// Fewer readings are no baseline.
const MIN_BASELINE: usize = 6;
/// An alert is over when the value has come back by this share of the way from the limit to the baseline: at the limit itself it would come and
/// go.
const BACK: f64 = 0.1;

/// One value at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) rule: Rule,
    /// What it is of: an upstream, a budget's key, a model.
    pub(super) subject: Arc<str>,
    pub(super) value: f64,
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How long a value must be above its limit.
    pub(super) hold: Duration,
    /// How long it must be back.
    pub(super) clear: Duration,
    /// How far a baseline reaches back.
    pub(super) baseline: Duration,
}

/// A change that somebody should hear of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub(super) reading: Reading,
    pub(super) is_firing: bool,
    pub(super) limit: f64,
    pub(super) baseline: Option<f64>,
    /// Since when the value was above.
    pub(super) since: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Machine {
    watched: BTreeMap<(Rule, Arc<str>), Watched>,
}

#[derive(Debug)]
struct Watched {
    state: State,
    baseline: Baseline,
    seen: Instant,
    last: f64,
    limit: f64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Well,
    /// Above the limit since then; not yet for long.
    Pending(Instant),
    Firing {
        since: Instant,
        /// Back since then.
        back: Option<Instant>,
    },
}

/// What a value usually is.
#[derive(Debug, Default)]
struct Baseline(VecDeque<(Instant, f64)>);

impl Baseline {
    /// Takes one reading in so long that all of them span the window.
    fn add(&mut self, now: Instant, value: f64, window: Duration) {
        let apart = window / u32::try_from(MAX_BASELINE).unwrap_or(1);
        let last = self.0.back();
        if last.is_some_and(|(at, _)| now.saturating_duration_since(*at) < apart) {
            return;
        }
        self.0.push_back((now, value));
        while self.0.len() > MAX_BASELINE
            || self
                .0
                .front()
                .is_some_and(|(at, _)| now.saturating_duration_since(*at) > window)
        {
            self.0.pop_front();
        }
    }

    fn median(&self) -> Option<f64> {
        let mut values: Vec<_> = self.0.iter().map(|(_, value)| *value).collect();
        if values.len() < MIN_BASELINE {
            return None;
        }
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

impl Machine {
    /// Looks at what is read now: all of it, so that what is not there any more is known to be gone.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        rules: &Rules,
        times: Times,
        readings: Vec<Reading>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for reading in readings {
            let Some(limit) = rules.limit(reading.rule) else {
                continue;
            };
            let name = (reading.rule, Arc::clone(&reading.subject));
            if self.watched.len() >= MAX_WATCHED && !self.watched.contains_key(&name) {
                continue;
            }
            let watched = self.watched.entry(name).or_insert_with(|| Watched {
                state: State::Well,
                baseline: Baseline::default(),
                seen: now,
                last: 0.0,
                limit: 0.0,
            });
            events.extend(watched.see(now, limit, times, &reading));
        }
        self.watched.retain(|(rule, subject), watched| {
            if watched.seen == now {
                return true;
            }
            let reading = Reading {
                rule: *rule,
                subject: Arc::clone(subject),
                value: 0.0,
            };
            events.extend(watched.step(now, times, false, true, &reading, None));
            // A baseline is kept as long as it reaches.
            let idle = now.saturating_duration_since(watched.seen);
            matches!(watched.state, State::Firing { .. }) || idle <= times.baseline
        });
        events
    }

    /// What fires now: the rule, of what, the last value, its limit, and since when.
    pub(super) fn firing(&self) -> impl Iterator<Item = (Reading, f64, Instant)> {
        self.watched
            .iter()
            .filter_map(|((rule, subject), watched)| {
                let State::Firing { since, .. } = watched.state else {
                    return None;
                };
                let reading = Reading {
                    rule: *rule,
                    subject: Arc::clone(subject),
                    value: watched.last,
                };
                Some((reading, watched.limit, since))
            })
    }
}

impl Watched {
    fn see(
        &mut self,
        now: Instant,
        limit: Limit,
        times: Times,
        reading: &Reading,
    ) -> Option<Event> {
        self.seen = now;
        self.last = reading.value;
        let (base, limit) = match limit {
            Limit::Above(limit) => (None, Some(limit)),
            Limit::AboveBaseline(more) => {
                let base = self.baseline.median();
                (base, base.map(|base| base + more))
            }
        };
        let event = limit.and_then(|limit| {
            self.limit = limit;
            let from = base.unwrap_or(0.0);
            let is_over = reading.value > limit;
            let is_back = reading.value <= limit - (limit - from) * BACK;
            self.step(now, times, is_over, is_back, reading, base)
        });
        // What is wrong does not become what is usual.
        if matches!(self.state, State::Well) {
            self.baseline.add(now, reading.value, times.baseline);
        }
        event
    }

    fn step(
        &mut self,
        now: Instant,
        times: Times,
        is_over: bool,
        is_back: bool,
        reading: &Reading,
        baseline: Option<f64>,
    ) -> Option<Event> {
        let limit = self.limit;
        let event = |is_firing, since| {
            Some(Event {
                reading: reading.clone(),
                is_firing,
                limit,
                baseline,
                since,
            })
        };
        let hold = if reading.rule.is_at_once() {
            Duration::ZERO
        } else {
            times.hold
        };
        match self.state {
            State::Well | State::Pending(_) if !is_over => {
                self.state = State::Well;
                None
            }
            State::Well | State::Pending(_) => {
                let since = match self.state {
                    State::Pending(since) => since,
                    _ => now,
                };
                if now.saturating_duration_since(since) < hold {
                    self.state = State::Pending(since);
                    return None;
                }
                self.state = State::Firing { since, back: None };
                event(true, since)
            }
            State::Firing { since, .. } if !is_back => {
                self.state = State::Firing { since, back: None };
                None
            }
            State::Firing { since, back } => {
                let back = back.unwrap_or(now);
                if now.saturating_duration_since(back) < times.clear {
                    self.state = State::Firing {
                        since,
                        back: Some(back),
                    };
                    return None;
                }
                self.state = State::Well;
                event(false, since)
            }
        }
    }
}

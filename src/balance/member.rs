//! One of those among which requests are balanced.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use tokio::time::Instant;

use super::measure::{Health, PeakEwma, Recent};
use crate::{
    client::Target,
    stats::{Availability, Standing},
};

/// The share of its requests that a member starts with.
const RAMP_FROM: f64 = 0.1;

/// How a request is answered: its time to first token compares with that of its kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As a stream, whose first token comes long before its last.
    Stream,
    /// As a whole.
    Whole,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) header: Option<HeaderValue>,
    /// `None` for another service that the layer stands over, which is called through the balancer's own.
    pub(super) target: Option<Target>,
    pub(super) standing: Standing,
    /// Its weight, where members are chosen by it.
    pub(super) weight: u32,
    /// What sets its draws apart from the others'.
    pub(super) seed: u64,
    record: Arc<Record>,
}

/// What a member has to answer and has answered, which outlives the layer where another takes its place.
#[derive(Debug)]
struct Record {
    is_drained: AtomicBool,
    in_flight: AtomicU32,
    chosen: AtomicU64,
    measured: Mutex<Measured>,
}

/// What is known of a member by its answers.
#[derive(Debug)]
pub(super) struct Measured {
    stream: PeakEwma,
    whole: PeakEwma,
    pub(super) health: Health,
    pub(super) recent: Recent,
    /// Whether it took no requests when it was last looked at.
    is_away: bool,
    /// When it came back.
    back: Option<Instant>,
}

impl Member {
    pub(super) fn new(name: Arc<str>, target: Option<Target>, seed: u64, now: Instant) -> Self {
        Self {
            name,
            header: None,
            target,
            standing: Standing::new(None, now),
            weight: 1,
            seed,
            record: Arc::new(Record {
                is_drained: AtomicBool::new(false),
                in_flight: AtomicU32::new(0),
                chosen: AtomicU64::new(0),
                measured: Mutex::new(Measured {
                    stream: PeakEwma::new(now),
                    whole: PeakEwma::new(now),
                    health: Health::new(now),
                    recent: Recent::new(now),
                    is_away: false,
                    back: None,
                }),
            }),
        }
    }

    /// Goes on from where another of its name is; one that joins others starts slowly.
    pub(super) fn continuing(&mut self, before: Option<&Self>, now: Instant) {
        match before {
            Some(before) => self.record = Arc::clone(&before.record),
            None => self.measured().back = Some(now),
        }
    }

    /// Requests that it was given and has not answered to the end.
    pub(super) fn in_flight(&self) -> u32 {
        // A count alone, as all of these: no other memory hangs on it.
        self.record.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn chosen(&self) -> u64 {
        self.record.chosen.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self, now: Instant, decay: Duration) {
        self.record.in_flight.fetch_add(1, Ordering::Relaxed);
        self.record.chosen.fetch_add(1, Ordering::Relaxed);
        self.measured().recent.note(now, decay);
    }

    pub(super) fn leave(&self) {
        self.record.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn measured(&self) -> MutexGuard<'_, Measured> {
        self.record
            .measured
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it out, or puts it back.
    pub(super) fn set_drained(&self, is_drained: bool) {
        self.record.is_drained.store(is_drained, Ordering::Relaxed);
        if is_drained {
            // Noted now, so that it comes back slowly even if nobody asks in between.
            self.measured().is_away = true;
        }
    }

    /// Whether it takes no new requests.
    pub(super) fn is_drained(&self) -> bool {
        self.record.is_drained.load(Ordering::Relaxed)
    }

    /// The share of its requests that it is to have, 0 to 1: what its availability leaves it, what it has by now of its start, and
    /// what its failures leave it.
    pub(super) fn share(&self, availability: Availability, now: Instant, ramp: Duration) -> f64 {
        let admitted = if self.is_drained() {
            0
        } else {
            availability.weight(now)
        };
        let mut measured = self.measured();
        if admitted == 0 {
            measured.is_away = true;
            return 0.0;
        }
        if std::mem::take(&mut measured.is_away) {
            measured.back = Some(now);
        }
        let grown = measured.back.map_or(1.0, |back| grown(back, now, ramp));
        if grown >= 1.0 {
            measured.back = None;
        }
        let admitted = f64::from(admitted) / f64::from(Availability::WHOLE);
        admitted.min(grown) * measured.health.share(now)
    }
}

impl Measured {
    pub(super) fn latency(&self, kind: Kind) -> &PeakEwma {
        match kind {
            Kind::Stream => &self.stream,
            Kind::Whole => &self.whole,
        }
    }

    pub(super) fn latency_mut(&mut self, kind: Kind) -> &mut PeakEwma {
        match kind {
            Kind::Stream => &mut self.stream,
            Kind::Whole => &mut self.whole,
        }
    }
}

/// How far a start that began at `since` has come, 0 to 1.
fn grown(since: Instant, now: Instant, ramp: Duration) -> f64 {
    if ramp.is_zero() {
        return 1.0;
    }
    let passed = now.saturating_duration_since(since);
    let part = passed.as_secs_f64() / ramp.as_secs_f64();
    (RAMP_FROM + (1.0 - RAMP_FROM) * part).min(1.0)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these come out exactly")]
mod tests {
    use super::*;

    #[test]
    fn one_that_comes_back_starts_slowly() {
        let now = Instant::now();
        let ramp = Duration::from_secs(10);
        let at = |seconds| now + Duration::from_secs(seconds);
        let member = Member::new("a".into(), None, 0, now);
        let share = |availability, seconds| member.share(availability, at(seconds), ramp);
        let open = Availability::Unavailable { until: None };
        assert_eq!(share(Availability::Available, 0), 1.0);
        assert_eq!(share(open, 1), 0.0);
        assert_eq!(share(Availability::Probing, 2), 0.0);
        let back = [3, 8, 13, 14].map(|seconds| share(Availability::Available, seconds));
        assert_eq!(back, [0.1, 0.55, 1.0, 1.0]);
        member.set_drained(true);
        assert_eq!(share(Availability::Available, 20), 0.0);
        member.set_drained(false);
        assert_eq!(share(Availability::Available, 30), 0.1);
    }

    #[test]
    fn a_slow_start_that_its_breaker_publishes_is_not_made_slower_still() {
        let now = Instant::now();
        let ramp = Duration::from_secs(10);
        let member = Member::new("a".into(), None, 0, now);
        assert_eq!(member.share(Availability::Probing, now, ramp), 0.0);
        let start = Availability::SlowStart {
            since: now,
            over: Duration::from_secs(20),
            floor: 100,
        };
        let at = |seconds| member.share(start, now + Duration::from_secs(seconds), ramp);
        assert_eq!([0, 10, 20].map(at), [0.1, 0.55, 1.0]);
    }
}

//! What a member's answers say of it. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How much one answer moves the health of a member.
const STEP: f64 = 0.3;
/// How long a failure is remembered by a member that is not asked: the time constant of forgetting.
const FORGIVEN: Duration = Duration::from_secs(30);
/// The least share of its requests that a member gets that only fails, so that it is found well again.
const LEAST_HEALTH: f64 = 0.01;

/// A peak-sensitive, exponentially weighted moving average of spans of time, which falls while nothing is measured.
///
/// Finagle's, by which linkerd and tower balance too: a span above the average replaces it at once; one below moves it by
/// `1 - e^(-t / decay)`, where `t` is the time since the last one.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeakEwma {
    /// In seconds.
    value: Option<f64>,
    at: Instant,
}

/// How many of the last answers were any good, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    value: f64,
    at: Instant,
}

/// How many events there were lately: each fades with `decay`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent {
    count: f64,
    at: Instant,
}

impl PeakEwma {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            value: None,
            at: now,
        }
    }

    /// What it has become by `now`, in seconds; `None` until something was measured.
    pub(super) fn get(&self, now: Instant, decay: Duration) -> Option<f64> {
        Some(self.value? * fading(self.at, now, decay))
    }

    pub(super) fn observe(&mut self, now: Instant, span: Duration, decay: Duration) {
        let span = span.as_secs_f64();
        self.value = Some(match self.value {
            Some(before) if span < before => {
                let kept = fading(self.at, now, decay);
                before * kept + span * (1.0 - kept)
            }
            _ => span,
        });
        self.at = self.at.max(now);
    }

    /// Notes that something took `span` at least: raises the average, and never lowers it.
    pub(super) fn observe_at_least(&mut self, now: Instant, span: Duration, decay: Duration) {
        if self
            .get(now, decay)
            .is_none_or(|value| span.as_secs_f64() > value)
        {
            self.observe(now, span, decay);
        }
    }
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            value: 1.0,
            at: now,
        }
    }

    pub(super) fn get(&self, now: Instant) -> f64 {
        1.0 - (1.0 - self.value) * fading(self.at, now, FORGIVEN)
    }

    pub(super) fn note(&mut self, now: Instant, is_good: bool) {
        let before = self.get(now);
        let good = if is_good { 1.0 } else { 0.0 };
        self.value = before + STEP * (good - before);
        self.at = self.at.max(now);
    }

    /// The share of its requests that it is given: the third power of its health.
    pub(super) fn share(&self, now: Instant) -> f64 {
        self.get(now).powi(3).max(LEAST_HEALTH)
    }
}

impl Recent {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            count: 0.0,
            at: now,
        }
    }

    pub(super) fn get(&self, now: Instant, decay: Duration) -> f64 {
        self.count * fading(self.at, now, decay)
    }

    pub(super) fn note(&mut self, now: Instant, decay: Duration) {
        self.count = self.get(now, decay) + 1.0;
        self.at = self.at.max(now);
    }
}

/// How much is left at `now` of what was whole at `since`.
fn fading(since: Instant, now: Instant, decay: Duration) -> f64 {
    let passed = now.saturating_duration_since(since);
    if passed.is_zero() {
        return 1.0;
    }
    (-passed.as_secs_f64() / decay.as_secs_f64().max(1e-9)).exp()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these come out exactly")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ewma = PeakEwma::new(start);
        assert_eq!(ewma.get(at(0), DECAY), None);
        ewma.observe(at(0), millis(100), DECAY);
        ewma.observe(at(1), millis(1000), DECAY);
        assert_eq!(ewma.get(at(1), DECAY), Some(1.0));
        // After one decay a shorter span has most of the weight, and without any the average has fallen as far.
        let fallen = ewma.get(at(11), DECAY).unwrap();
        assert!((fallen - 0.368).abs() < 0.001, "{fallen}");
        ewma.observe(at(11), millis(100), DECAY);
        let moved = ewma.get(at(11), DECAY).unwrap();
        assert!((moved - 0.431).abs() < 0.001, "{moved}");
        ewma.observe_at_least(at(11), millis(50), DECAY);
        assert_eq!(ewma.get(at(11), DECAY), Some(moved));
        ewma.observe_at_least(at(11), millis(5000), DECAY);
        assert_eq!(ewma.get(at(11), DECAY), Some(5.0));
    }

    #[test]
    fn a_member_that_only_fails_keeps_next_to_nothing_and_is_forgiven_with_time_or_for_its_answers()
    {
        let now = Instant::now();
        let mut health = Health::new(now);
        assert_eq!(health.share(now), 1.0);
        (0..10).for_each(|_| health.note(now, false));
        assert_eq!(health.share(now), LEAST_HEALTH);
        assert!(health.share(now + FORGIVEN) > 0.2);
        (0..10).for_each(|_| health.note(now, true));
        assert!(health.share(now) > 0.9);
    }

    #[test]
    fn one_failure_in_a_hundred_costs_little() {
        let now = Instant::now();
        let mut health = Health::new(now);
        let mut sum = 0.0;
        for number in 0..1000 {
            health.note(now, number % 100 != 0);
            sum += health.share(now);
        }
        assert!(sum / 1000.0 > 0.97, "{sum}");
    }

    proptest! {
        #[test]
        fn every_measure_stays_within_its_bounds(steps in prop::collection::vec((0_u64..100_000, 0_u64..100_000, any::<bool>()), 1..50)) {
            let start = Instant::now();
            let (mut ewma, mut health, mut recent) = (PeakEwma::new(start), Health::new(start), Recent::new(start));
            let mut longest: f64 = 0.0;
            for (number, (at, span, is_good)) in (1..).zip(steps) {
                let now = start + millis(at);
                longest = longest.max(millis(span).as_secs_f64());
                ewma.observe(now, millis(span), DECAY);
                health.note(now, is_good);
                recent.note(now, DECAY);
                let value = ewma.get(now, DECAY).unwrap();
                prop_assert!((0.0..=longest).contains(&value));
                prop_assert!((0.0..=1.0).contains(&health.get(now)));
                prop_assert!((0.0..=f64::from(number)).contains(&recent.get(now, DECAY)));
            }
        }
    }
}

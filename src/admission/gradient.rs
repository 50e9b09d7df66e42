//! A limit that finds itself, by what latency says of the load.
//!
//! The gradient of Netflix' [concurrency-limits](https://github.com/Netflix/concurrency-limits) and of Envoy's
//! [adaptive concurrency filter](https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter):
//! the limit follows the ratio of the least latency to that of late, with room for a queue of its square root. So that a load that
//! never lets up is not taken for the ordinary, the limit is halved at times, and the least latency found anew.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::message::ConfigError;

/// How a limit adapts itself to latency; also its configuration.
///
/// The latency of a request is the time from its admission to the first output of its answer: what comes after that depends on how
/// much the model has to say. Where answers are not streamed it is the time to the whole answer, which only tells much if
/// those are of similar length.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Adaptive {
    min: usize,
    max: usize,
    tolerance: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            min: 5,
            max: 1_000,
            tolerance: 1.5,
        }
    }
}

impl Adaptive {
    /// The bounds of the limit: 5 and 1,000 by default; at least 1.
    pub fn bounds(mut self, min: usize, max: usize) -> Self {
        (self.min, self.max) = (min, max);
        self
    }

    /// How many times its least latency of the last minutes an upstream may take before the limit is lowered, 1 to 10: 1.5 by default.
    pub fn tolerance(mut self, times: f64) -> Self {
        self.tolerance = times;
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.min == 0 || self.min > self.max {
            return Err(ConfigError::new(
                "min",
                "must be at least 1, and at most max",
            ));
        }
        if self.max > MOST {
            return Err(ConfigError::new("max", "must be at most 1000000"));
        }
        if !(1.0..=10.0).contains(&self.tolerance) {
            return Err(ConfigError::new("tolerance", "must be 1 to 10"));
        }
        Ok(())
    }
}

/// The highest limit: whole numbers up to here are exact in a float.
const MOST: usize = 1_000_000;
/// What is gathered before the limit is looked at: at least so long, and so many.
const WINDOW: Duration = Duration::from_secs(1);
const LEAST_SAMPLES: u32 = 10;
/// The limit moves by a fifth of the way at a time.
const SMOOTHING: f64 = 0.2;
/// After so many windows the limit is halved for the least latency to show; what was found before is forgotten after as many more.
const EPOCH: u32 = 300;
/// What is left of the limit by a window with failures that load explains.
const BACKOFF: f64 = 0.9;

/// The limit of one key.
#[derive(Debug)]
pub(super) struct Gradient {
    settings: Adaptive,
    limit: f64,
    /// Seconds, in this epoch and in the one before.
    least: [Option<f64>; 2],
    /// Windows of this epoch.
    age: u32,
    window: Option<Window>,
}

/// What was seen since a moment.
#[derive(Debug)]
struct Window {
    began: Instant,
    seconds: f64,
    samples: u32,
    failures: u32,
    most_in_flight: usize,
}

/// What came of a request, as far as it says something of the load.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sample {
    Answered(Duration),
    /// The upstream had too much to do, or took too long.
    Overloaded,
}

impl Gradient {
    pub(super) fn new(settings: Adaptive, limit: usize) -> Self {
        let mut gradient = Self {
            settings,
            limit: 0.0,
            least: [None; 2],
            age: 0,
            window: None,
        };
        gradient.set(limit);
        gradient
    }

    /// The limit, within its bounds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between the bounds, which are"
    )]
    pub(super) fn limit(&self) -> usize {
        (self.limit as usize).clamp(self.settings.min, self.settings.max)
    }

    pub(super) fn set(&mut self, limit: usize) {
        self.limit = exact(limit.clamp(self.settings.min, self.settings.max));
    }

    /// Counts what came of one of `in_flight` requests.
    pub(super) fn sample(&mut self, now: Instant, sample: Sample, in_flight: usize) {
        let window = self.window.get_or_insert(Window {
            began: now,
            seconds: 0.0,
            samples: 0,
            failures: 0,
            most_in_flight: 0,
        });
        match sample {
            Sample::Answered(latency) => {
                window.seconds += latency.as_secs_f64();
                window.samples += 1;
            }
            Sample::Overloaded => window.failures += 1,
        }
        window.most_in_flight = window.most_in_flight.max(in_flight);
        let is_full = window.samples + window.failures >= LEAST_SAMPLES
            && now.saturating_duration_since(window.began) >= WINDOW;
        if is_full && let Some(window) = self.window.take() {
            self.look_at(&window);
        }
    }

    fn look_at(&mut self, window: &Window) {
        let (min, max) = (exact(self.settings.min), exact(self.settings.max));
        if window.failures > 0 {
            self.limit = (self.limit * BACKOFF).clamp(min, max);
            return;
        }
        // Kept from zero, which nothing could be divided by.
        let lately = (window.seconds / f64::from(window.samples)).max(1e-6);
        let [own, before] = self.least;
        let least = own.map_or(lately, |own| own.min(lately));
        self.least = [Some(least), before];
        self.age += 1;
        // A limit that is not used tells nothing.
        if exact(window.most_in_flight) < self.limit / 2.0 {
            return;
        }
        if self.age >= EPOCH {
            self.least = [None, Some(least)];
            self.age = 0;
            self.limit = (self.limit / 2.0).clamp(min, max);
            return;
        }
        let least = before.map_or(least, |before| before.min(least));
        let gradient = (self.settings.tolerance * least / lately).clamp(0.5, 1.0);
        let next = self.limit * gradient + self.limit.sqrt();
        self.limit = (self.limit + (next - self.limit) * SMOOTHING).clamp(min, max);
    }
}

/// `count` as a float: exact, as it is at most [`MOST`] wherever it matters.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn exact(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Runs `windows` windows of an upstream that serves `capacity` at a time in `base`, and lets the rest queue; the limit after each.
    fn run(
        gradient: &mut Gradient,
        now: &mut Instant,
        windows: usize,
        capacity: usize,
    ) -> Vec<usize> {
        let base = 0.2;
        let mut window = |gradient: &mut Gradient| {
            let in_flight = gradient.limit();
            let latency = base * (exact(in_flight) / exact(capacity)).max(1.0);
            for _ in 0..20 {
                *now += Duration::from_millis(60);
                let sample = Sample::Answered(Duration::from_secs_f64(latency));
                gradient.sample(*now, sample, in_flight);
            }
            gradient.limit()
        };
        (0..windows).map(|_| window(gradient)).collect()
    }

    fn gradient(limit: usize) -> Gradient {
        Gradient::new(Adaptive::default().bounds(5, 500), limit)
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_grows_while_latency_does_not_and_settles_where_it_does() {
        let mut now = Instant::now();
        let mut gradient = gradient(10);
        let limits = run(&mut gradient, &mut now, 2_000, 100);
        assert!(limits.iter().all(|limit| *limit <= 180), "{limits:?}");
        let used = limits[200..].iter().filter(|limit| **limit >= 100).count();
        assert!(used > 1_600, "{used} windows of 1800 use all that there is");
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_falls_when_the_upstream_slows_down_and_recovers_after() {
        let mut now = Instant::now();
        let mut gradient = gradient(10);
        let before = *run(&mut gradient, &mut now, 100, 100).last().unwrap();
        let slow = run(&mut gradient, &mut now, 20, 10)
            .into_iter()
            .min()
            .unwrap();
        assert!(slow < before / 2, "{before} to {slow}");
        let after = *run(&mut gradient, &mut now, 100, 100).last().unwrap();
        assert!(after > before / 2, "{before} to {after}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_not_used_does_not_grow() {
        let mut now = Instant::now();
        let mut gradient = gradient(100);
        for _ in 0..200 {
            now += Duration::from_millis(100);
            gradient.sample(now, Sample::Answered(Duration::from_millis(5)), 3);
        }
        assert_eq!(gradient.limit(), 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_seen_the_limit_stays_within_its_bounds(
            samples in vec((0..10_000_u64, any::<bool>(), 0..1_000_usize), 1..200),
            (min, more) in (1..50_usize, 0..100_usize),
        ) {
            let mut gradient = Gradient::new(Adaptive::default().bounds(min, min + more), 10);
            let mut now = Instant::now();
            for (millis, fails, in_flight) in samples {
                now += Duration::from_millis(200);
                let sample = if fails { Sample::Overloaded } else { Sample::Answered(Duration::from_millis(millis)) };
                gradient.sample(now, sample, in_flight);
                prop_assert!((min..=min + more).contains(&gradient.limit()));
            }
        }
    }
}

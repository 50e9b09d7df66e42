use std::time::Duration;

use serde::Deserialize;

use super::{CircuitBreakerHandle, CircuitBreakerLayer};
use crate::{
    key::KeyBy,
    message::{Classify, ConfigError, Ours},
    stats::{Availability, Stats},
    wire::units,
};

/// The longest span that may be configured.
const MAX_SPAN: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The most probes at a time.
const MAX_PROBES: u32 = 1000;

/// When the circuits of a [`CircuitBreakerLayer`] open, and how they close again; also its configuration.
///
/// Spans of time deserialize from text such as `"30s"`, and are at most a year. Shares are 0 to 1.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct CircuitBreakerBuilder {
    #[serde(deserialize_with = "units::duration")]
    pub(super) window: Duration,
    pub(super) minimum_calls: u64,
    pub(super) failure_rate: f64,
    pub(super) rate_limited_rate: f64,
    pub(super) consecutive_failures: u32,
    pub(super) forgiveness: Forgiveness,
    #[serde(deserialize_with = "units::duration")]
    pub(super) slow_first_token: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) open_for: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) max_open_for: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) quota_open_for: Duration,
    pub(super) probes: u32,
    #[serde(deserialize_with = "units::duration")]
    pub(super) probe_lifetime: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) slow_start: Duration,
    pub(super) slow_start_from: f64,
    pub(super) max_keys: usize,
    #[serde(skip)]
    pub(super) by: Option<KeyBy>,
    #[serde(skip)]
    pub(super) stats: Option<Stats>,
    #[serde(skip)]
    pub(super) classify: Ours,
    #[serde(skip)]
    pub(super) before: Option<CircuitBreakerHandle>,
}

/// What a success does to the failures that were counted in a row.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgiveness {
    /// It ends the row.
    #[default]
    All,
    /// It takes one off.
    One,
}

impl Default for CircuitBreakerBuilder {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            minimum_calls: 20,
            failure_rate: 0.5,
            rate_limited_rate: 0.5,
            consecutive_failures: 5,
            forgiveness: Forgiveness::All,
            slow_first_token: Duration::ZERO,
            open_for: Duration::from_secs(10),
            max_open_for: Duration::from_secs(5 * 60),
            quota_open_for: Duration::from_secs(60 * 60),
            probes: 3,
            probe_lifetime: Duration::from_secs(60),
            slow_start: Duration::from_secs(30),
            slow_start_from: 0.1,
            max_keys: 1024,
            by: None,
            stats: None,
            classify: Ours::default(),
            before: None,
        }
    }
}

impl CircuitBreakerBuilder {
    /// Guide A's: 5 failures in a row open for 60 s, one success closes.
    pub fn guide_a() -> Self {
        Self {
            failure_rate: 1.0,
            consecutive_failures: 5,
            ..Self::minute()
        }
    }

    /// Guide C's: opens for 60 s at 10 failures, of which each success takes one off.
    pub fn guide_c() -> Self {
        Self {
            failure_rate: 1.0,
            consecutive_failures: 10,
            forgiveness: Forgiveness::One,
            ..Self::minute()
        }
    }

    /// Guide D's: opens for 60 s when more than 1 % of the calls of the last 60 s failed, and there were 100 at least.
    pub fn guide_d() -> Self {
        Self {
            minimum_calls: 100,
            failure_rate: 0.01,
            consecutive_failures: 0,
            ..Self::minute()
        }
    }

    /// What the guides share.
    fn minute() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            window: minute,
            open_for: minute,
            max_open_for: minute,
            probes: 1,
            slow_start: Duration::ZERO,
            ..Self::default()
        }
    }

    /// The sliding window that the shares are taken over: 30 s by default. It slides by a tenth of its length at a time.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many calls must have been judged in the window before a share is looked at: 20 by default, at least 1.
    pub fn minimum_calls(mut self, calls: u64) -> Self {
        self.minimum_calls = calls;
        self
    }

    /// It opens when more than this share of the calls failed: 0.5 by default. With 1 the share is not looked at.
    pub fn failure_rate(mut self, share: f64) -> Self {
        self.failure_rate = share;
        self
    }

    /// It opens when the upstream refused more than this share of the calls for the sake of its limits (429): 0.5 by default.
    /// With 1 the share is not looked at.
    pub fn rate_limited_rate(mut self, share: f64) -> Self {
        self.rate_limited_rate = share;
        self
    }

    /// It opens at this many failures in a row: 5 by default. With 0 they are not looked at.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive_failures = failures;
        self
    }

    /// What a success does to the failures in a row: [`Forgiveness::All`] by default.
    pub fn forgiveness(mut self, forgiveness: Forgiveness) -> Self {
        self.forgiveness = forgiveness;
        self
    }

    /// A stream whose first token takes longer than this, from the call on, counts as a failure however it ends, unless its
    /// caller left. Zero, the default: it does not.
    pub fn slow_first_token(mut self, limit: Duration) -> Self {
        self.slow_first_token = limit;
        self
    }

    /// How long it stays open the first time: 10 s by default. Each time that it opens again before it was well for the length
    /// of the slow start and a window, it is twice as long.
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// The longest that it stays open, for repeated failures or because the upstream asks for a wait (`retry-after`): 5 min by
    /// default.
    pub fn max_open_for(mut self, time: Duration) -> Self {
        self.max_open_for = time;
        self
    }

    /// How long it stays open when the upstream's quota is used up, which only money or midnight mends: 1 h by default.
    pub fn quota_open_for(mut self, time: Duration) -> Self {
        self.quota_open_for = time;
        self
    }

    /// How many probes are sent when its time is over, 1 to 1000: 3 by default. When all succeed it closes, when one fails it
    /// opens again.
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// How long a probe's verdict is awaited before another one is sent in its place: 60 s by default.
    pub fn probe_lifetime(mut self, time: Duration) -> Self {
        self.probe_lifetime = time;
        self
    }

    /// How long it takes after a recovery until all calls pass: 30 s by default. With zero they do at once.
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// The share of the calls that passes at the beginning of a slow start, 0.001 to 1: 0.1 by default.
    pub fn slow_start_from(mut self, share: f64) -> Self {
        self.slow_start_from = share;
        self
    }

    /// How many keys have a circuit of their own: 1024 by default. All others share one, `other`.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// What has a circuit of its own. By default each upstream, by the name that it was
    /// [chosen](crate::message::Chosen) by; requests without one share a circuit.
    pub fn by(mut self, by: KeyBy) -> Self {
        self.by = Some(by);
        self
    }

    /// Where to publish the [`Availability`] of upstreams, for those who choose among them. By default only the layer's
    /// [handle](CircuitBreakerLayer::handle) tells.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = Some(stats.clone());
        self
    }

    /// An opinion of one's own on what errors mean. What is decided here holds for the layers further out too: of several that have
    /// one, the innermost is asked.
    pub fn classify(mut self, classify: impl Classify + 'static) -> Self {
        self.classify = Ours::new(classify);
        self
    }

    /// Goes on from where another layer is, with whatever it has counted, once these settings are [in force](CircuitBreakerLayer::take_over).
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(mut self, before: Option<&CircuitBreakerHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// The settings that matter, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let Self {
            consecutive_failures: in_a_row,
            failure_rate,
            minimum_calls,
            window,
            open_for,
            max_open_for,
            ..
        } = self;
        let in_a_row = (*in_a_row > 0).then(|| format!("{in_a_row} failures in a row"));
        let percent = failure_rate * 100.0;
        let share = (percent < 100.0)
            .then(|| format!("over {percent} % of {minimum_calls} calls in {window:?}"));
        let grounds: Vec<_> = in_a_row.into_iter().chain(share).collect();
        let mut settings = vec![format!("open for {open_for:?} to {max_open_for:?}")];
        if !grounds.is_empty() {
            settings.insert(0, format!("opens at {}", grounds.join(" or ")));
        }
        settings
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When a value is outside its range, or `max_open_for` is shorter than `open_for`.
    pub fn build(self) -> Result<CircuitBreakerLayer, ConfigError> {
        for (field, span, may_be_zero) in [
            ("window", self.window, false),
            ("slow_first_token", self.slow_first_token, true),
            ("open_for", self.open_for, false),
            ("max_open_for", self.max_open_for, false),
            ("quota_open_for", self.quota_open_for, false),
            ("probe_lifetime", self.probe_lifetime, false),
            ("slow_start", self.slow_start, true),
        ] {
            if span > MAX_SPAN || (span.is_zero() && !may_be_zero) {
                let reason = "must be more than nothing, and at most a year";
                return Err(ConfigError::new(field, reason));
            }
        }
        for (field, share, least) in [
            ("failure_rate", self.failure_rate, 0.0),
            ("rate_limited_rate", self.rate_limited_rate, 0.0),
            ("slow_start_from", self.slow_start_from, 0.001),
        ] {
            if !(least..=1.0).contains(&share) {
                return Err(ConfigError::new(field, format!("must be {least} to 1")));
            }
        }
        if self.max_open_for < self.open_for {
            return Err(ConfigError::new(
                "max_open_for",
                "must be at least open_for",
            ));
        }
        if self.minimum_calls == 0 {
            return Err(ConfigError::new("minimum_calls", "must be at least 1"));
        }
        if !(1..=MAX_PROBES).contains(&self.probes) {
            return Err(ConfigError::new("probes", "must be 1 to 1000"));
        }
        Ok(CircuitBreakerLayer::from_policy(self))
    }

    /// The share that a slow start begins with, in thousandths.
    pub(super) fn floor(&self) -> u16 {
        let whole = Availability::WHOLE;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the share is 0 to 1, which `build` made sure of"
        )]
        let floor = (self.slow_start_from * f64::from(whole)).round() as u16;
        floor.clamp(1, whole)
    }
}

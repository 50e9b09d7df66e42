use std::{collections::HashMap, fmt, time::Duration};

use http::HeaderName;
use serde::Deserialize;

use super::{Adaptive, AdmissionHandle, AdmissionLayer, PriorityBy, gates::LimitsOf};
use crate::{
    key::{Holders, Key, KeyBy},
    message::ConfigError,
    wire::units,
};

/// How many requests an [`AdmissionLayer`] lets in and how many wait; also its configuration.
///
/// Spans of time deserialize from text such as `"30s"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct AdmissionBuilder {
    pub(super) max_in_flight: usize,
    pub(super) max_pending: usize,
    pub(super) max_pending_in_all: usize,
    #[serde(deserialize_with = "units::duration")]
    pub(super) max_wait: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) retry_after: Duration,
    pub(super) adaptive: Option<Adaptive>,
    pub(super) priority_header: Option<String>,
    pub(super) max_keys: usize,
    #[serde(skip)]
    pub(super) by: Option<KeyBy>,
    #[serde(skip)]
    pub(super) priority: Option<PriorityBy>,
    #[serde(skip)]
    pub(super) keys: HashMap<Key, Limits>,
    #[serde(skip)]
    pub(super) limits_of: Custom,
    #[serde(skip)]
    pub(super) holders: Holders,
    #[serde(skip)]
    pub(super) before: Option<AdmissionHandle>,
}

/// How many requests of a key are in flight at most, and how many more may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// In flight at most. With 0 none is, which drains: whoever is in flight ends, and whoever comes waits or is shed.
    #[serde(rename = "max_in_flight")]
    pub in_flight: usize,
    /// Waiting at most.
    #[serde(rename = "max_pending", default = "default_pending")]
    pub pending: usize,
}

impl Limits {
    /// So many in flight, and so many waiting.
    pub const fn new(in_flight: usize, pending: usize) -> Self {
        Self { in_flight, pending }
    }
}

const DEFAULT_PENDING: usize = 1_000;

fn default_pending() -> usize {
    DEFAULT_PENDING
}

/// A function of the user's.
#[derive(Clone, Default)]
pub(super) struct Custom(pub(super) Option<LimitsOf>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Custom" } else { "None" })
    }
}

impl Default for AdmissionBuilder {
    fn default() -> Self {
        Self {
            max_in_flight: 50,
            max_pending: DEFAULT_PENDING,
            max_pending_in_all: 10_000,
            max_wait: Duration::from_secs(30),
            retry_after: Duration::from_secs(1),
            adaptive: None,
            priority_header: None,
            max_keys: 10_000,
            by: None,
            priority: None,
            keys: HashMap::new(),
            limits_of: Custom::default(),
            holders: Holders::default(),
            before: None,
        }
    }
}

impl AdmissionBuilder {
    /// Guide C's concurrency controller: 50 in flight and 1,000 waiting, for everyone together. What a layer has by default.
    pub fn guide_c_controller() -> Self {
        Self::default()
    }

    /// The same at the size that guide C shows it in use: 100 in flight and 5,000 waiting.
    pub fn guide_c_controller_large() -> Self {
        Self::default().limits(Limits::new(100, 5_000))
    }

    /// How many requests of a key are in flight at most, and how many more may wait: 50 and 1,000 by default. With 0 that wait,
    /// whatever finds no room is shed at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        (self.max_in_flight, self.max_pending) = (limits.in_flight, limits.pending);
        self
    }

    /// The limits of `key`, in place of those.
    pub fn limits_for(mut self, key: Key, limits: Limits) -> Self {
        self.keys.insert(key, limits);
        self
    }

    /// The limits of a key, looked up when it is first seen or seen again after a while; `None` leaves it to the other rules. It must
    /// not block.
    pub fn limits_by(
        mut self,
        limits_of: impl Fn(&Key) -> Option<Limits> + Send + Sync + 'static,
    ) -> Self {
        self.limits_of = Custom(Some(std::sync::Arc::new(limits_of)));
        self
    }

    /// How many requests of all keys together may wait: 10,000 by default.
    pub fn max_pending_in_all(mut self, requests: usize) -> Self {
        self.max_pending_in_all = requests;
        self
    }

    /// How long a request may wait: 30 s by default. Never beyond its [`Deadline`](crate::message::Deadline).
    pub fn max_wait(mut self, at_most: Duration) -> Self {
        self.max_wait = at_most;
        self
    }

    /// When those who are shed are asked to come again: after 1 s by default.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = wait;
        self
    }

    /// Lets the limit of those in flight follow the latency; it begins with the one that is set. It stays where it is by default.
    pub fn adaptive(mut self, adaptive: Adaptive) -> Self {
        self.adaptive = Some(adaptive);
        self
    }

    /// Who goes first: whoever comes first by default. Configuration has `priority_header` for [`PriorityBy::header`].
    pub fn priority(mut self, by: PriorityBy) -> Self {
        self.priority = Some(by);
        self
    }

    /// Whom a request is counted for: everyone together by default.
    pub fn by(mut self, by: KeyBy) -> Self {
        self.by = Some(by);
        self
    }

    /// Goes on from where another layer is: whoever is in flight or waits there counts here, unless limits adapt otherwise or the bounds on
    /// keys and on all who wait are others.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(mut self, before: Option<&AdmissionHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// How many keys have limits of their own: 10,000 by default. Those that nobody is in flight or waits for give way to new
    /// ones; where there are none, the keys beyond share one limit.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// The same, with a limit that stays where it is set and none by key: for limits of another kind that share the rest.
    #[cfg(feature = "gateway")]
    pub(crate) fn fixed(mut self) -> Self {
        (self.adaptive, self.limits_of) = (None, Custom::default());
        self.keys.clear();
        self
    }

    /// With limits for `holders` alone, and none for all.
    #[cfg(feature = "gateway")]
    pub(crate) fn only_for(mut self, holders: Holders) -> Self {
        self.holders = holders;
        self
    }

    /// Whether who goes first was said.
    #[cfg(feature = "gateway")]
    pub(crate) fn has_priority(&self) -> bool {
        self.priority.is_some() || self.priority_header.is_some()
    }

    /// The limits in words: what `--check` prints.
    #[cfg(feature = "gateway")]
    pub(crate) fn describe(&self) -> String {
        let adapts = if self.adaptive.is_some() {
            " at first"
        } else {
            ""
        };
        format!(
            "{} in flight{adapts}, {} waiting up to {:?}",
            self.max_in_flight, self.max_pending, self.max_wait
        )
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When none may be in flight, there is no room for a key, requests may wait for no time or longer than a year, a header cannot
    /// be one, or the bounds of an adaptive limit are none.
    pub fn build(self) -> Result<AdmissionLayer, ConfigError> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        for (field, count) in [
            ("max_in_flight", self.max_in_flight),
            ("max_keys", self.max_keys),
        ] {
            if count == 0 {
                return Err(ConfigError::new(field, "must be at least 1"));
            }
        }
        if self.max_wait > YEAR || (self.max_wait.is_zero() && self.max_pending > 0) {
            let reason =
                "must be more than nothing, and at most a year; for no wait set max_pending to 0";
            return Err(ConfigError::new("max_wait", reason));
        }
        if self.retry_after > YEAR {
            return Err(ConfigError::new("retry_after", "is longer than a year"));
        }
        if let Some(adaptive) = &self.adaptive {
            adaptive.check().map_err(|error| error.within("adaptive"))?;
        }
        let priority = match (&self.priority, &self.priority_header) {
            (Some(by), _) => Some(by.clone()),
            (None, Some(name)) => {
                let parsed = name.parse::<HeaderName>().map_err(|_| {
                    let reason = format!("{name:?} is not the name of a header");
                    ConfigError::new("priority_header", reason)
                })?;
                Some(PriorityBy::header(parsed))
            }
            (None, None) => None,
        };
        Ok(AdmissionLayer::of(self, priority))
    }
}

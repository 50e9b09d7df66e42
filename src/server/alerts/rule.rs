//! What is watched, and from where on it is wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{message::ConfigError, wire::units};

/// What an alert is about.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The share of an upstream's attempts that fail.
    ErrorRate,
    /// The 95th percentile of an upstream's time to the end of an answer.
    P95,
    /// The 99th percentile of it.
    P99,
    /// What a key has used of a budget.
    Budget,
    /// A circuit breaker is open.
    Breaker,
    /// A model was used whose price is not known.
    Unpriced,
    /// An upstream refused the relay's key.
    KeyRejected,
}

/// From where on each is wrong. What is set to `None` or `false` is not watched.
///
/// By default more than 5 % of errors, percentiles of latency 100 ms above what is usual, budgets used to 80 %, open breakers, unknown prices
/// and rejected keys.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rules {
    /// The share of attempts, 0 to 1, that may fail.
    #[serde(deserialize_with = "share")]
    pub error_rate: Option<f64>,
    /// What the 95th percentile of latency may be.
    pub p95: LatencyRule,
    /// What the 99th percentile of latency may be.
    pub p99: LatencyRule,
    /// The share of a budget, 0 to 1, that may be used.
    #[serde(deserialize_with = "share")]
    pub budget: Option<f64>,
    /// Whether open breakers are told of.
    pub breaker: bool,
    /// Whether models of unknown price are told of.
    pub unpriced: bool,
    /// Whether rejected keys are told of.
    pub key_rejected: bool,
}

/// From where on a percentile of latency is wrong. Deserializes from `"off"`, `{ at_most = "2s" }` or `{ over_baseline = "100ms" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LatencyRule {
    /// It is not watched.
    Off,
    /// Above this.
    #[serde(deserialize_with = "units::duration")]
    AtMost(Duration),
    /// So much above the median of what it was in the time before.
    #[serde(deserialize_with = "units::duration")]
    OverBaseline(Duration),
}

impl Default for Rules {
    fn default() -> Self {
        let degraded = LatencyRule::OverBaseline(Duration::from_millis(100));
        Self {
            error_rate: Some(0.05),
            p95: degraded,
            p99: degraded,
            budget: Some(0.8),
            breaker: true,
            unpriced: true,
            key_rejected: true,
        }
    }
}

/// From where on a value is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    Above(f64),
    AboveBaseline(f64),
}

impl Rule {
    /// As a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Budget => "budget",
            Self::Breaker => "breaker",
            Self::Unpriced => "unpriced",
            Self::KeyRejected => "key_rejected",
        }
    }

    /// Whether one reading says it all: then nobody waits to see whether it stays.
    pub(super) fn is_at_once(self) -> bool {
        matches!(
            self,
            Self::Budget | Self::Breaker | Self::Unpriced | Self::KeyRejected
        )
    }
}

impl Rules {
    /// From where on `rule` is broken; `None` where it is not watched.
    pub(super) fn limit(&self, rule: Rule) -> Option<Limit> {
        let latency = |rule| match rule {
            LatencyRule::Off => None,
            LatencyRule::AtMost(most) => Some(Limit::Above(millis(most))),
            LatencyRule::OverBaseline(more) => Some(Limit::AboveBaseline(millis(more))),
        };
        let any = |is_watched: bool| is_watched.then_some(Limit::Above(0.0));
        match rule {
            Rule::ErrorRate => self.error_rate.map(Limit::Above),
            Rule::P95 => latency(self.p95),
            Rule::P99 => latency(self.p99),
            Rule::Budget => self.budget.map(Limit::Above),
            Rule::Breaker => any(self.breaker),
            Rule::Unpriced => any(self.unpriced),
            Rule::KeyRejected => any(self.key_rejected),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (field, share) in [("error_rate", self.error_rate), ("budget", self.budget)] {
            if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                return Err(ConfigError::new(
                    field,
                    "must be a share from 0 to 1, or \"off\"",
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// A share, or `"off"`.
fn share<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a share from 0 to 1, or \"off\"")]
    enum Share {
        Some(f64),
        Off(Off),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Off {
        Off,
    }
    Ok(match Share::deserialize(from)? {
        Share::Some(share) => Some(share),
        Share::Off(Off::Off) => None,
    })
}

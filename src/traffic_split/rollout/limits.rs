//! How much worse than the baseline a target may do.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    message::{ConfigError, catalog::Cost},
    wire::units,
};

/// What a target must keep to. Each is judged by itself.
///
/// By default errors are at most 1 %, requests refused as invalid at most 5 % of all more than at the baseline, and the 95th percentile of
/// latency at most 20 % above the baseline's at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The share of attempts that fail: no connection, a timeout, an error of the upstream's own, a limit of its, a model or a key that it
    /// does not know.
    pub error_rate: ErrorLimit,
    /// The share of requests that are refused for what they are: invalid, too long, not allowed. Callers send such requests to every
    /// upstream; one that refuses more of them than the baseline does not take what that takes.
    pub rejected: ErrorLimit,
    /// The 95th percentile of the time to the end of an answer.
    pub p95: TimeLimit,
    /// The 99th percentile of that time. Off by default.
    pub p99: TimeLimit,
    /// The 95th percentile of the time to the first output. Off by default.
    pub first_token: TimeLimit,
    /// The median cost of an attempt, where a meter stands in the upstream's stack. Off by default. (The median, as a few long answers
    /// make a mean whose evidence is never in.)
    pub cost: CostLimit,
}

/// A limit on a share of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorLimit {
    /// None.
    Off,
    /// At most this share, 0 to 1.
    AtMost(f64),
    /// At most this share more than the baseline's at the same time: `0.01` allows 3 % where that has 2 %.
    OverBaseline(f64),
}

/// A limit on a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeLimit {
    /// None.
    Off,
    /// At most this long.
    #[serde(deserialize_with = "units::duration")]
    AtMost(Duration),
    /// At most so many percent longer than the baseline's at the same time.
    OverBaselinePercent(u32),
}

/// A limit on a sum of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CostLimit {
    /// None.
    Off,
    /// At most this, in USD, written as text: `"0.004"`.
    AtMost(Cost),
    /// At most so many percent more than the baseline's at the same time.
    OverBaselinePercent(u32),
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// [`Limits::error_rate`].
    ErrorRate,
    /// [`Limits::rejected`].
    Rejected,
    /// [`Limits::p95`].
    P95,
    /// [`Limits::p99`].
    P99,
    /// [`Limits::first_token`].
    FirstToken,
    /// [`Limits::cost`].
    Cost,
}

impl Metric {
    pub(super) const ALL: [Self; 6] = [
        Self::ErrorRate,
        Self::Rejected,
        Self::P95,
        Self::P99,
        Self::FirstToken,
        Self::Cost,
    ];

    /// As a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::Rejected => "rejected",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::FirstToken => "first_token",
            Self::Cost => "cost",
        }
    }

    /// The share of attempts that may be above the limit for the percentile to be within it.
    pub(super) fn allowed(self) -> f64 {
        match self {
            Self::P95 | Self::FirstToken => 0.05,
            Self::P99 | Self::ErrorRate | Self::Rejected => 0.01,
            Self::Cost => 0.5,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            error_rate: ErrorLimit::AtMost(0.01),
            rejected: ErrorLimit::OverBaseline(0.05),
            p95: TimeLimit::OverBaselinePercent(20),
            ..Self::none()
        }
    }
}

impl Limits {
    /// None at all.
    pub const fn none() -> Self {
        Self {
            error_rate: ErrorLimit::Off,
            rejected: ErrorLimit::Off,
            p95: TimeLimit::Off,
            p99: TimeLimit::Off,
            first_token: TimeLimit::Off,
            cost: CostLimit::Off,
        }
    }

    /// With this limit on errors.
    pub const fn error_rate(self, error_rate: ErrorLimit) -> Self {
        Self { error_rate, ..self }
    }

    /// With this limit on requests refused for what they are.
    pub const fn rejected(self, rejected: ErrorLimit) -> Self {
        Self { rejected, ..self }
    }

    /// With this limit on the 95th percentile of latency.
    pub const fn p95(self, p95: TimeLimit) -> Self {
        Self { p95, ..self }
    }

    /// With this limit on the 99th percentile of latency.
    pub const fn p99(self, p99: TimeLimit) -> Self {
        Self { p99, ..self }
    }

    /// With this limit on the 95th percentile of the time to the first output.
    pub const fn first_token(self, first_token: TimeLimit) -> Self {
        Self {
            first_token,
            ..self
        }
    }

    /// With this limit on the median cost.
    pub const fn cost(self, cost: CostLimit) -> Self {
        Self { cost, ..self }
    }

    pub(super) fn has(&self, metric: Metric) -> bool {
        match metric {
            Metric::ErrorRate => self.error_rate != ErrorLimit::Off,
            Metric::Rejected => self.rejected != ErrorLimit::Off,
            Metric::P95 => self.p95 != TimeLimit::Off,
            Metric::P99 => self.p99 != TimeLimit::Off,
            Metric::FirstToken => self.first_token != TimeLimit::Off,
            Metric::Cost => self.cost != CostLimit::Off,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, reason| Err(ConfigError::new(field, reason));
        let is_share = |share: f64| share > 0.0 && share < 1.0;
        for (name, limit) in [("error_rate", self.error_rate), ("rejected", self.rejected)] {
            match limit {
                ErrorLimit::AtMost(share) | ErrorLimit::OverBaseline(share) if !is_share(share) => {
                    return wrong(name, "must be between 0 and 1, as in 0.01 for 1 %");
                }
                _ => {}
            }
        }
        let times = [
            ("p95", self.p95),
            ("p99", self.p99),
            ("first_token", self.first_token),
        ];
        for (name, time) in times {
            if time == TimeLimit::AtMost(Duration::ZERO) {
                return wrong(name, "must be more than zero");
            }
        }
        Ok(())
    }
}

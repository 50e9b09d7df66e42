//! How much of what may be used in which time.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use super::Dimension;
use crate::{message::ConfigError, wire::units};

/// The longest window: a year.
const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// So much of one dimension in one window, with a burst and a bound on debts.
///
/// Not a fixed window, at whose edges twice as much passes: a bucket that holds the burst and fills at the rate of `amount` in
/// `window`, so that over any span `t` at most `burst + amount * t / window` is taken, and what others give back in it.
///
/// Deserializes from `{ tokens = 500000, per = "1m" }`: one of `requests`, `tokens`, `input_tokens` and `output_tokens`, and,
/// if wished, `burst` and `debt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    dimension: Dimension,
    amount: u64,
    /// Nanoseconds.
    window: u64,
    burst: u64,
    debt: u64,
}

impl Limit {
    /// `amount` in any `window`; as much at once, and as much of debt.
    pub fn new(dimension: Dimension, amount: u64, window: Duration) -> Self {
        Self {
            dimension,
            amount,
            window: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            burst: amount,
            debt: amount,
        }
    }

    /// So many requests in any `window`.
    pub fn requests(amount: u64, window: Duration) -> Self {
        Self::new(Dimension::Requests, amount, window)
    }

    /// So many tokens, of input and output together, in any `window`.
    pub fn tokens(amount: u64, window: Duration) -> Self {
        Self::new(Dimension::Tokens, amount, window)
    }

    /// How much may be taken at once: the limit's amount by default. A larger request is never admitted.
    #[must_use]
    pub fn with_burst(mut self, burst: u64) -> Self {
        self.burst = burst;
        self
    }

    /// How much may be owed: the limit's amount by default, so that a debt is paid within a window. What is used beyond that without
    /// having been reserved is forgiven, and counted.
    #[must_use]
    pub fn with_debt(mut self, debt: u64) -> Self {
        self.debt = debt;
        self
    }

    /// What is counted.
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// How much of it in a window.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// The window.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }

    /// How much at once.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// How much may be owed.
    pub fn debt(&self) -> u64 {
        self.debt
    }

    /// Whether `other` counts the same over the same window, so that a bucket of the one goes on as one of the other.
    pub(super) fn continues(&self, other: &Self) -> bool {
        self.dimension == other.dimension && self.window == other.window
    }

    /// The clock of its [`Bucket`](super::Bucket) at `now`.
    pub(super) fn clock(&self, now: u64) -> u128 {
        u128::from(now) * u128::from(self.amount)
    }

    /// What `amount` costs on that clock.
    pub(super) fn cost(&self, amount: u64) -> u128 {
        u128::from(amount) * u128::from(self.window)
    }

    /// How long that clock takes for `cost`, rounded up.
    pub(super) fn time_for(&self, cost: u128) -> Duration {
        let nanos = cost.div_ceil(u128::from(self.amount.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let name = self.dimension.as_str();
        if self.amount == 0 {
            return Err(ConfigError::new(name, "must be more than zero"));
        }
        if self.window == 0 || self.window() > MAX_WINDOW {
            return Err(ConfigError::new(
                "per",
                "must be more than zero, and at most a year",
            ));
        }
        if self.burst == 0 {
            return Err(ConfigError::new("burst", "must be more than zero"));
        }
        Ok(())
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.window().as_secs();
        let name = self.dimension.as_str().replace('_', " ");
        write!(f, "{} {name} per ", self.amount)?;
        match self.window().subsec_nanos() {
            0 if seconds == 1 => f.write_str("second"),
            0 if seconds == 60 => f.write_str("minute"),
            0 if seconds == 3_600 => f.write_str("hour"),
            0 if seconds == 86_400 => f.write_str("day"),
            _ => write!(f, "{:?}", self.window()),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Text {
            requests: Option<u64>,
            tokens: Option<u64>,
            input_tokens: Option<u64>,
            output_tokens: Option<u64>,
            #[serde(deserialize_with = "units::duration")]
            per: Duration,
            burst: Option<u64>,
            debt: Option<u64>,
        }
        let text = Text::deserialize(deserializer)?;
        let stated = [
            (Dimension::Requests, text.requests),
            (Dimension::Tokens, text.tokens),
            (Dimension::InputTokens, text.input_tokens),
            (Dimension::OutputTokens, text.output_tokens),
        ];
        let mut stated = stated
            .into_iter()
            .filter_map(|(dimension, amount)| Some((dimension, amount?)));
        let (Some((dimension, amount)), None) = (stated.next(), stated.next()) else {
            return Err(D::Error::custom(
                "a limit has one of requests, tokens, input_tokens and output_tokens",
            ));
        };
        let mut limit = Self::new(dimension, amount, text.per);
        limit.burst = text.burst.unwrap_or(amount);
        limit.debt = text.debt.unwrap_or(amount);
        limit.check().map_err(D::Error::custom)?;
        Ok(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_text_and_named_in_words() {
        let read = |text| serde_json::from_str::<Limit>(text);
        let limit = read(r#"{"tokens":500,"per":"1m","burst":900}"#).unwrap();
        assert_eq!(
            limit,
            Limit::tokens(500, Duration::from_secs(60)).with_burst(900)
        );
        assert_eq!(limit.to_string(), "500 tokens per minute");
        let limit = read(r#"{"output_tokens":5,"per":"90s"}"#).unwrap();
        assert_eq!(limit.to_string(), "5 output tokens per 90s");
        for text in [
            r#"{"per":"1m"}"#,
            r#"{"tokens":1,"requests":1,"per":"1m"}"#,
            r#"{"tokens":0,"per":"1m"}"#,
            r#"{"tokens":1}"#,
            r#"{"tokens":1,"per":60}"#,
            r#"{"tokens":1,"per":"1m","window":1}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

//! How much of what may be used in which time.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use crate::{message::ConfigError, wire::units};

/// The most limits in one quota.
pub const MAX_LIMITS: usize = 8;
/// The longest window: a year.
const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What is counted.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Requests.
    Requests,
    /// Tokens of input and output together.
    Tokens,
    /// Tokens of input.
    InputTokens,
    /// Tokens of output.
    OutputTokens,
    /// Money, in millionths of a millionth of a US dollar.
    PicoUsd,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
        Self::PicoUsd,
    ];

    /// Its name in configuration and messages: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::PicoUsd => "pico_usd",
        }
    }
}

/// So much of each dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    requests: u64,
    tokens: u64,
    input_tokens: u64,
    output_tokens: u64,
    pico_usd: u64,
}

impl Amounts {
    /// Nothing of any.
    pub const NONE: Self = Self {
        requests: 0,
        tokens: 0,
        input_tokens: 0,
        output_tokens: 0,
        pico_usd: 0,
    };

    /// One request.
    pub fn request() -> Self {
        Self::NONE.with(Dimension::Requests, 1)
    }

    /// The same, with `amount` of `dimension`.
    #[must_use]
    pub fn with(mut self, dimension: Dimension, amount: u64) -> Self {
        *match dimension {
            Dimension::Requests => &mut self.requests,
            Dimension::Tokens => &mut self.tokens,
            Dimension::InputTokens => &mut self.input_tokens,
            Dimension::OutputTokens => &mut self.output_tokens,
            Dimension::PicoUsd => &mut self.pico_usd,
        } = amount;
        self
    }

    /// The same, with so many tokens of input and of output, and their sum.
    #[must_use]
    pub fn with_tokens(self, input: u64, output: u64) -> Self {
        self.with(Dimension::Tokens, input.saturating_add(output))
            .with(Dimension::InputTokens, input)
            .with(Dimension::OutputTokens, output)
    }

    /// How much of `dimension`.
    pub fn get(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.tokens,
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
            Dimension::PicoUsd => self.pico_usd,
        }
    }
}

/// So much of one dimension in one window, with a burst and a bound on debts.
///
/// Not a fixed window, at whose edges twice as much passes: a bucket that holds the burst and fills at the rate of `amount` in
/// `window`, so that over any span `t` at most `burst + amount * t / window` is taken.
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

    fn check(&self) -> Result<(), ConfigError> {
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

/// What a key may use: several limits that hold together. Clones share them, so that a tier of many keys is one quota.
///
/// Without limits everything is admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota(Arc<[Limit]>);

impl Quota {
    /// These limits together.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_LIMITS`], one is zero, its window is zero or longer than a year, or two are for the same dimension
    /// and window.
    pub fn new(limits: impl IntoIterator<Item = Limit>) -> Result<Self, ConfigError> {
        let limits: Vec<_> = limits.into_iter().take(MAX_LIMITS + 1).collect();
        if limits.len() > MAX_LIMITS {
            let reason = format!("are more than {MAX_LIMITS}");
            return Err(ConfigError::new("limits", reason));
        }
        for (index, limit) in limits.iter().enumerate() {
            limit
                .check()
                .map_err(|e| e.within(&index.to_string()).within("limits"))?;
            if limits
                .iter()
                .take(index)
                .any(|other| other.continues(limit))
            {
                let reason = format!(
                    "limit {} twice over the same window",
                    limit.dimension.as_str()
                );
                return Err(ConfigError::new("limits", reason));
            }
        }
        Ok(Self(limits.into()))
    }

    /// So many requests and so many tokens a minute, as most limits are.
    ///
    /// # Errors
    ///
    /// When one is zero.
    pub fn per_minute(requests: u64, tokens: u64) -> Result<Self, ConfigError> {
        let minute = Duration::from_secs(60);
        Self::new([
            Limit::requests(requests, minute),
            Limit::tokens(tokens, minute),
        ])
    }

    /// The limits.
    pub fn limits(&self) -> &[Limit] {
        &self.0
    }

    /// Whether any limit counts tokens, so that they must be estimated.
    pub fn counts_tokens(&self) -> bool {
        self.0.iter().any(|limit| {
            matches!(
                limit.dimension,
                Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens
            )
        })
    }

    /// Whether both are one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limits = Vec::<Limit>::deserialize(deserializer)?;
        Self::new(limits).map_err(D::Error::custom)
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
    fn a_quota_that_cannot_work_says_why() {
        let minute = Duration::from_secs(60);
        for (limits, error) in [
            (
                vec![Limit::tokens(0, minute)],
                "limits.0.tokens: must be more than zero",
            ),
            (
                vec![Limit::requests(1, Duration::ZERO)],
                "limits.0.per: must be more than zero, and at most a year",
            ),
            (
                vec![Limit::requests(1, Duration::MAX)],
                "limits.0.per: must be more than zero, and at most a year",
            ),
            (
                vec![Limit::tokens(1, minute).with_burst(0)],
                "limits.0.burst: must be more than zero",
            ),
            (
                vec![Limit::tokens(1, minute), Limit::tokens(2, minute)],
                "limits: limit tokens twice over the same window",
            ),
            (
                (1..=9)
                    .map(|n| Limit::tokens(1, Duration::from_secs(n)))
                    .collect(),
                "limits: are more than 8",
            ),
        ] {
            assert_eq!(Quota::new(limits).unwrap_err().to_string(), error);
        }
    }

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

//! Limits that hold together.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use super::{Dimension, Limit};
use crate::message::ConfigError;

/// The most limits in one quota.
pub const MAX_LIMITS: usize = 8;

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
                    limit.dimension().as_str()
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
                limit.dimension(),
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
}

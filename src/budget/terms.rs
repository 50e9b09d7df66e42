//! One budget, as it is set.

use std::{collections::HashMap, fmt, sync::Arc};

use http::HeaderName;
use serde::{Deserialize, Deserializer, de::Error};

use super::{Per, calendar::Calendar};
#[cfg(feature = "gateway")]
use crate::key::IdentityPart;
use crate::{
    key::{Key, KeyBy},
    message::{ConfigError, catalog::Cost},
};

/// So much money for each key, renewed with the calendar or never.
///
/// In a configuration `by` is `"global"`, `"api_key"` (the default), `"credential"`, `"tenant"`, `"team"`, `"organisation"`, `"model"` or
/// `{ header = "x-team" }`, as [`KeyBy`] has them; money is a decimal of USD in a string, and `keys` gives limits of their own to keys as
/// [`Key`] shows them (`"tenant:acme"`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct Budget {
    pub(super) name: Arc<str>,
    #[serde(default = "api_key", deserialize_with = "by")]
    pub(super) by: KeyBy,
    pub(super) per: Per,
    #[serde(default)]
    utc_offset_minutes: i16,
    hard: Cost,
    #[serde(default)]
    soft: Option<Cost>,
    #[serde(default)]
    pub(super) keys: HashMap<Arc<str>, Limits>,
    #[serde(default)]
    pub(super) on_exceeded: OnExceeded,
    #[serde(default)]
    pub(super) unknown_price: UnknownPrice,
}

/// How much one key may spend in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Above this much, what was spent and what is reserved together, nothing is admitted.
    pub hard: Cost,
    /// Whoever has spent this much is warned.
    #[serde(default)]
    pub soft: Option<Cost>,
}

impl Limits {
    /// A hard limit alone.
    pub fn hard(hard: Cost) -> Self {
        Self { hard, soft: None }
    }

    /// Warns from `soft` on.
    #[must_use]
    pub fn soft(mut self, soft: Cost) -> Self {
        self.soft = Some(soft);
        self
    }
}

/// What becomes of a request that a budget has no room for.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceeded {
    /// It is refused.
    #[default]
    Refuse,
    /// It is sent for this model instead, and counted beyond the limit: a budget around this one may still refuse it.
    Model(Arc<str>),
}

/// What becomes of a request for a model whose price is not known.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPrice {
    /// It passes as long as there is anything left, reserves nothing, and is counted as unpriced if nobody states its cost.
    #[default]
    Pass,
    /// It is refused.
    Refuse,
}

fn api_key() -> KeyBy {
    KeyBy::api_key()
}

fn by<'de, D: Deserializer<'de>>(from: D) -> Result<KeyBy, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum By {
        Global,
        ApiKey,
        Model,
        Credential,
        Tenant,
        Team,
        Organisation,
        Header(String),
    }
    Ok(match By::deserialize(from)? {
        By::Global => KeyBy::global(),
        By::ApiKey => KeyBy::api_key(),
        By::Model => KeyBy::model(),
        By::Credential => KeyBy::credential(),
        By::Tenant => KeyBy::tenant(),
        By::Team => KeyBy::team(),
        By::Organisation => KeyBy::organisation(),
        By::Header(name) => {
            let name = HeaderName::try_from(name);
            KeyBy::header(name.map_err(|_| D::Error::custom("is no name of a header"))?)
        }
    })
}

impl Budget {
    /// The longest name, in bytes.
    const MAX_NAME: usize = 64;

    /// What of a tenant's identity it is kept by, if by one.
    #[cfg(feature = "gateway")]
    pub(crate) fn identity_part(&self) -> Option<IdentityPart> {
        self.by.identity_part()
    }

    /// `hard` for each key of `by`. The name stands in answers and in the ledger: keep it, and what was spent is found again.
    pub fn new(name: impl Into<Arc<str>>, by: KeyBy, hard: Cost, per: Per) -> Self {
        Self {
            name: name.into(),
            by,
            per,
            utc_offset_minutes: 0,
            hard,
            soft: None,
            keys: HashMap::new(),
            on_exceeded: OnExceeded::default(),
            unknown_price: UnknownPrice::default(),
        }
    }

    /// Warns whoever has spent this much: a header on their answers, and one `tracing` event in a window.
    pub fn soft(mut self, soft: Cost) -> Self {
        self.soft = Some(soft);
        self
    }

    /// How far the clock that tells midnight is ahead of UTC, in minutes: -1,440 to 1,440, 0 by default. It knows no daylight
    /// saving.
    pub fn utc_offset_minutes(mut self, ahead: i16) -> Self {
        self.utc_offset_minutes = ahead;
        self
    }

    /// Gives `key` limits of its own.
    pub fn limits_for(mut self, key: &Key, limits: Limits) -> Self {
        self.keys.insert(key.to_string().into(), limits);
        self
    }

    /// What becomes of requests that there is no room for: they are refused by default.
    pub fn on_exceeded(mut self, policy: OnExceeded) -> Self {
        self.on_exceeded = policy;
        self
    }

    /// What becomes of requests whose price is not known: they pass by default.
    pub fn unknown_price(mut self, policy: UnknownPrice) -> Self {
        self.unknown_price = policy;
        self
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            hard: self.hard,
            soft: self.soft,
        }
    }

    pub(super) fn calendar(&self) -> Calendar {
        Calendar::new(self.per, self.utc_offset_minutes)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() || self.name.len() > Self::MAX_NAME {
            return Err(ConfigError::new("name", "must have 1 to 64 bytes"));
        }
        if !self.name.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "stands in a header: visible characters of ASCII alone";
            return Err(ConfigError::new("name", reason));
        }
        if self.utc_offset_minutes.unsigned_abs() > 24 * 60 {
            let reason = "must be within a day: -1440 to 1440";
            return Err(ConfigError::new("utc_offset_minutes", reason));
        }
        let all = self.keys.values().copied().chain([self.limits()]);
        for limits in all {
            if limits.soft.is_some_and(|soft| soft > limits.hard) {
                return Err(ConfigError::new("soft", "is above the hard limit"));
            }
        }
        if let OnExceeded::Model(model) = &self.on_exceeded
            && (model.is_empty() || !model.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let reason = "must name a model, in visible characters of ASCII";
            return Err(ConfigError::new("model", reason).within("on_exceeded"));
        }
        Ok(())
    }
}

impl fmt::Display for Budget {
    /// In words: what `--check` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} USD {}", self.name, self.hard, self.per)?;
        if let OnExceeded::Model(model) = &self.on_exceeded {
            write!(f, ", then {model}")?;
        }
        Ok(())
    }
}

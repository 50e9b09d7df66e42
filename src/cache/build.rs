//! From settings to a layer.

use std::sync::Arc;

use super::{
    CacheBuilder, CacheLayer, CacheScope, MemoryStore,
    builder::{OwnStore, Place},
    key::KeyParts,
    layer::Settings,
    state::Lifetimes,
};
use crate::{
    key::{KeyBy, Missing},
    message::ConfigError,
};

impl CacheBuilder {
    /// What it does, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn describe(&self) -> String {
        use super::Cacheable;

        let requests = match self.requests {
            Cacheable::Deterministic => "deterministic requests",
            Cacheable::All => "all requests",
        };
        let scope = match self.scope {
            CacheScope::Tenant => "by tenant",
            CacheScope::Shared => "shared by all",
        };
        let place = match self.place {
            Place::Memory => format!("in {} MiB of memory", self.max_memory >> 20),
            Place::Redis => "in Redis".to_owned(),
        };
        let form = if self.cross_replay {
            ", streamed or whole"
        } else {
            ""
        };
        format!("{requests} {scope}{form}, for {:?}, {place}", self.ttl)
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When a bound that must not be is zero; when tenants are to be told by what is the same for all; when `ignore` names what always decides.
    pub fn build(self) -> Result<CacheLayer, ConfigError> {
        for (field, is_zero) in [
            ("ttl", self.ttl.is_zero()),
            ("max_memory", self.max_memory == 0),
            ("max_answer", self.max_answer == 0),
            ("max_request", self.max_request == 0),
            ("max_in_flight", self.max_in_flight == 0),
            ("store_timeout", self.store_timeout.is_zero()),
        ] {
            if is_zero {
                return Err(ConfigError::new(field, "must be more than zero"));
            }
        }
        if self.max_answer > u64::from(u32::MAX) {
            return Err(ConfigError::new("max_answer", "must be less than 4 GiB"));
        }
        if self.max_refreshes == 0 && !self.stale_while_revalidate.is_zero() {
            let reason = "must be more than zero where stale_while_revalidate is";
            return Err(ConfigError::new("max_refreshes", reason));
        }
        let decides = |name: &&String| {
            matches!(
                name.as_str(),
                "model" | "messages" | "input" | "prompt" | "stream"
            )
        };
        if let Some(name) = self.ignore.iter().find(decides) {
            let reason = format!("{name:?} decides every answer");
            return Err(ConfigError::new("ignore", reason));
        }
        let by = match (self.scope, self.by) {
            (CacheScope::Shared, _) => None,
            (CacheScope::Tenant, by) => {
                let by = by.unwrap_or_else(|| KeyBy::api_key().when_missing(Missing::Exempt));
                if !by.is_by_caller() {
                    let reason = "is the same for all tenants: ask for the scope \"shared\"";
                    return Err(ConfigError::new("by", reason));
                }
                Some(by)
            }
        };
        let store = match (self.store, self.place) {
            (Some(OwnStore(store)), _) => store,
            (None, Place::Memory) => Arc::new(MemoryStore::new(self.max_memory)),
            (None, Place::Redis) => {
                let reason = "there is no Redis: it is to be given, or named in the configuration";
                return Err(ConfigError::new("store", reason));
            }
        };
        Ok(CacheLayer::new(Settings {
            by,
            requests: self.requests,
            models: self.models.into(),
            lifetimes: Lifetimes {
                ttl: self.ttl,
                stale_while_revalidate: self.stale_while_revalidate,
                stale_if_error: self.stale_if_error,
            },
            tool_calls: self.tool_calls,
            max_answer: usize::try_from(self.max_answer).unwrap_or(usize::MAX),
            max_request: usize::try_from(self.max_request).unwrap_or(usize::MAX),
            max_in_flight: self.max_in_flight,
            max_followers: self.max_followers,
            max_refreshes: self.max_refreshes,
            pace: self.pace,
            store_timeout: self.store_timeout,
            parts: KeyParts {
                namespace: self.namespace.into(),
                vary: self.vary.into(),
                ignore: self.ignore.into_iter().map(Into::into).collect(),
                cross: self.cross_replay,
            },
            store,
        }))
    }
}

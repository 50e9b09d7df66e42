use std::{fmt, time::SystemTime};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
};

use super::KeyHash;
use crate::{
    message::{AllowedModels, AllowedUpstreams, Endpoint, ModelPattern},
    wire::rfc3339,
};

/// Someone who may call: a customer, a team, an application.
#[derive(Debug, Clone)]
#[must_use]
pub struct Tenant {
    pub(super) name: String,
    pub(super) organisation: Option<String>,
    pub(super) team: Option<String>,
    pub(super) models: Option<AllowedModels>,
    pub(super) endpoints: Option<Vec<Endpoint>>,
    pub(super) upstreams: Option<AllowedUpstreams>,
    pub(super) stored_objects: Option<bool>,
    pub(super) priority: Option<u8>,
    pub(super) keys: Vec<TenantKey>,
}

impl Tenant {
    /// The tenant `name`, which may ask for everything as soon as it has a key.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            organisation: None,
            team: None,
            models: None,
            endpoints: None,
            upstreams: None,
            stored_objects: None,
            priority: None,
            keys: Vec::new(),
        }
    }

    /// The organisation that it belongs to.
    pub fn organisation(mut self, name: impl Into<String>) -> Self {
        self.organisation = Some(name.into());
        self
    }

    /// The team that it belongs to, within its organisation.
    pub fn team(mut self, name: impl Into<String>) -> Self {
        self.team = Some(name.into());
        self
    }

    /// May ask for these models only, by the names that callers use. A request whose model cannot be read may not pass then, unless
    /// its endpoint is named.
    pub fn models(mut self, models: impl IntoIterator<Item = ModelPattern>) -> Self {
        self.models = Some(AllowedModels::new(models));
        self
    }

    /// May call these endpoints only; [`Endpoint::Models`] always.
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints = Some(endpoints.into_iter().collect());
        self
    }

    /// May be sent to these upstreams only.
    pub fn upstreams<T: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.upstreams = Some(AllowedUpstreams::new(names));
        self
    }

    /// Whether it may use what upstreams keep: files, batches, stored responses, conversations. Whoever shares an upstream's key can list,
    /// read and delete what others left there. So this is allowed, unless it is said, to one who is the only tenant, or whose
    /// [`endpoints`](Self::endpoints) name [`Endpoint::Other`], and to nobody else.
    pub fn stored_objects(mut self, allowed: bool) -> Self {
        self.stored_objects = Some(allowed);
        self
    }

    /// The priority of its requests where they have to wait: 0 to 255, the higher the sooner. See [`Caller::priority`](super::Caller::priority).
    pub fn priority(mut self, level: u8) -> Self {
        self.priority = Some(level);
        self
    }

    /// Adds a key.
    pub fn key(mut self, key: TenantKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may ask for `model`.
    pub fn may_ask_for(&self, model: &str) -> bool {
        self.models
            .as_ref()
            .is_none_or(|models| models.contains(model))
    }

    /// The models that it may ask for, where not all.
    pub fn allowed_models(&self) -> Option<&AllowedModels> {
        self.models.as_ref()
    }

    /// The upstreams that it may be sent to, where not all.
    pub fn allowed_upstreams(&self) -> Option<&AllowedUpstreams> {
        self.upstreams.as_ref()
    }

    pub(super) fn uses_stored_objects(&self) -> bool {
        self.stored_objects
            .unwrap_or_else(|| self.names_endpoint(Endpoint::Other))
    }

    pub(super) fn names_endpoint(&self, endpoint: Endpoint) -> bool {
        let named = self.endpoints.as_ref();
        named.is_some_and(|named| named.contains(&endpoint))
    }
}

/// One key of a [`Tenant`], by its hash.
///
/// Deserializes from `{ id = "2026-01", sha256 = "…", expires = "2027-01-01T00:00:00Z", revoked = false }`, of which `id` and `sha256` must be
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TenantKey {
    /// What it is called, within its tenant: in bills, logs and changes.
    pub id: String,
    /// Its hash.
    #[serde(rename = "sha256")]
    pub hash: KeyHash,
    /// From when on it is no longer taken.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub expires: Option<SystemTime>,
    /// Whether it is no longer taken at all.
    #[serde(default)]
    pub revoked: bool,
}

impl<'de> Deserialize<'de> for TenantKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = TenantKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ id = \"NAME\", sha256 = \"HASH\" }")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<TenantKey, E> {
                // It may be a key, so it is not shown.
                let expected: &dyn de::Expected = &self;
                Err(E::custom(format_args!("expected {expected}")))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<TenantKey, A::Error> {
                TenantKey::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for TenantKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl TenantKey {
    /// The key `id` with this hash, which never expires.
    pub fn new(id: impl Into<String>, hash: KeyHash) -> Self {
        Self {
            id: id.into(),
            hash,
            expires: None,
            revoked: false,
        }
    }

    /// The same, taken until `moment`.
    #[must_use]
    pub fn expires(mut self, moment: SystemTime) -> Self {
        self.expires = Some(moment);
        self
    }
}

/// A moment as RFC 3339 writes it.
mod moment {
    use super::{Deserialize, Deserializer, Serializer, SystemTime, de, rfc3339};

    #[expect(clippy::ref_option, reason = "serde gives it so")]
    pub(super) fn serialize<S: Serializer>(
        moment: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => serializer.serialize_str(&rfc3339::format(*moment)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = rfc3339::parse(&text).ok_or_else(|| {
            let reason = format!("{text:?} is not a moment, such as \"2027-01-01T00:00:00Z\"");
            de::Error::custom(reason)
        })?;
        Ok(Some(moment))
    }
}

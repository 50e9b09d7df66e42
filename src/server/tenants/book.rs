//! The tenants and keys that hold at a moment.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use super::{Caller, KeyHash, Tenant, TenantKey};
use crate::message::{ApiError, ConfigError};

use http::StatusCode;

#[derive(Debug)]
pub(super) struct Book {
    tenants: Vec<Entry>,
    /// By the first half of the hash: whoever measures how long the look-up takes learns of a hash of their own making, which says nothing
    /// of any key. The whole is compared in constant time.
    keys: HashMap<[u8; 16], Known>,
}

/// A tenant with all keys that it has now.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) tenant: Arc<Tenant>,
    pub(super) keys: Vec<TenantKey>,
}

#[derive(Debug)]
struct Known {
    hash: KeyHash,
    expires: Option<SystemTime>,
    revoked: bool,
    caller: Caller,
}

impl Book {
    pub(super) fn new(tenants: Vec<Entry>) -> Result<Self, ConfigError> {
        let mut keys: HashMap<_, Known> = HashMap::new();
        for (index, Entry { tenant, keys: own }) in tenants.iter().enumerate() {
            let wrong = |field: &str, reason: String| {
                Err(ConfigError::new(field.to_owned(), reason).within(&index.to_string()))
            };
            if !is_name(&tenant.name) {
                return wrong("name", NAMES.to_owned());
            }
            for (field, name) in [
                ("organisation", &tenant.organisation),
                ("team", &tenant.team),
            ] {
                if name.as_ref().is_some_and(|name| !is_name(name)) {
                    return wrong(field, NAMES.to_owned());
                }
            }
            let others = tenants.iter().take(index);
            if others
                .map(|other| other.tenant.name())
                .any(|name| name == tenant.name)
            {
                return wrong("name", format!("{:?} is there twice", tenant.name));
            }
            for (place, key) in own.iter().enumerate() {
                let field = |name| format!("keys.{place}.{name}");
                if !is_name(&key.id) {
                    return wrong(&field("id"), NAMES.to_owned());
                }
                if own.iter().take(place).any(|other| other.id == key.id) {
                    return wrong(&field("id"), format!("{:?} is there twice", key.id));
                }
                let known = Known {
                    hash: key.hash,
                    expires: key.expires,
                    revoked: key.revoked,
                    caller: Caller::new(tenant, &key.id),
                };
                if let Some(other) = keys.insert(key.hash.prefix(), known) {
                    let reason = format!("is {:?}'s too: keys are for one alone", other.caller);
                    return wrong(&field("sha256"), reason);
                }
            }
        }
        Ok(Self { tenants, keys })
    }

    pub(super) fn tenants(&self) -> &[Entry] {
        &self.tenants
    }

    /// Whose key it is, at `now`.
    pub(super) fn caller(&self, key: &str, now: SystemTime) -> Result<Caller, ApiError> {
        let hash = KeyHash::of(key);
        let known = self.keys.get(&hash.prefix());
        let Some(known) = known.filter(|known| known.hash == hash && !known.revoked) else {
            return Err(wrong("Incorrect API key provided."));
        };
        if known.expires.is_some_and(|moment| now >= moment) {
            return Err(wrong("The API key provided has expired."));
        }
        Ok(known.caller.clone())
    }
}

const NAMES: &str = "must be 1 to 60 bytes of letters, digits and any of \"-_.@:\"";

/// Names stand in logs and bills, and two of them, joined with a slash, in a [`Key`](crate::key::Key), which has 128 bytes for them.
fn is_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || "-_.@:".contains(c);
    (1..=60).contains(&text.len()) && text.chars().all(is_allowed)
}

fn wrong(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
        .with_code("invalid_api_key")
}

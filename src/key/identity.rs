use std::{fmt, sync::Arc};

use super::Key;

/// Who asks, once that is authenticated: the keys by which a request may be counted, from the narrowest to the widest. Stands in a
/// request's extensions, where [`KeyBy::credential`](super::KeyBy::credential), [`tenant`](super::KeyBy::tenant),
/// [`team`](super::KeyBy::team) and [`organisation`](super::KeyBy::organisation) find it.
///
/// `server::tenants` puts it there; so may an authentication of one's own:
///
/// ```
/// use http::Request;
/// use tower_relay::{key::{Identity, Key, KeyBy}, message::RequestBody};
///
/// let mut request = Request::post("/v1/chat/completions").body(RequestBody::empty())?;
/// request.extensions_mut().insert(Identity::new(Key::named("tenant", "acme")));
///
/// let key = KeyBy::tenant().key_of(&request)?.unwrap();
/// assert_eq!(key.to_string(), "tenant:acme");
/// // Who belongs to none is not counted there.
/// assert_eq!(KeyBy::team().key_of(&request)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Identity(Arc<Keys>);

#[derive(Clone, PartialEq, Eq)]
struct Keys {
    credential: Option<Key>,
    tenant: Key,
    team: Option<Key>,
    organisation: Option<Key>,
}

impl Identity {
    /// A tenant: a customer, an application.
    pub fn new(tenant: Key) -> Self {
        Self(Arc::new(Keys {
            credential: None,
            tenant,
            team: None,
            organisation: None,
        }))
    }

    /// By which of its keys it asks.
    pub fn with_credential(self, key: Key) -> Self {
        self.changed(|keys| keys.credential = Some(key))
    }

    /// The team that it belongs to.
    pub fn with_team(self, key: Key) -> Self {
        self.changed(|keys| keys.team = Some(key))
    }

    /// The organisation that it belongs to.
    pub fn with_organisation(self, key: Key) -> Self {
        self.changed(|keys| keys.organisation = Some(key))
    }

    fn changed(mut self, change: impl FnOnce(&mut Keys)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// By which of its keys the tenant asks; the tenant itself, where that is not told.
    pub fn credential(&self) -> &Key {
        self.0.credential.as_ref().unwrap_or(&self.0.tenant)
    }

    /// The tenant.
    pub fn tenant(&self) -> &Key {
        &self.0.tenant
    }

    /// Its team, if it has one.
    pub fn team(&self) -> Option<&Key> {
        self.0.team.as_ref()
    }

    /// Its organisation, if it has one.
    pub fn organisation(&self) -> Option<&Key> {
        self.0.organisation.as_ref()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.credential())
    }
}

use std::{fmt, sync::Arc};

use super::Tenant;
use crate::key::Key;

/// Who asks: a tenant, by one of its keys. Stands in the extensions of a request that was authenticated.
///
/// ```
/// use tower_relay::{key::KeyBy, server::tenants::Caller};
///
/// // Counts by tenant, however many keys each has.
/// let by = KeyBy::extension(|caller: &Caller| caller.tenant_key().clone());
/// ```
#[derive(Clone)]
pub struct Caller(Arc<Identity>);

struct Identity {
    tenant: Arc<Tenant>,
    id: String,
    key: Key,
    tenant_key: Key,
    team_key: Option<Key>,
    organisation_key: Option<Key>,
}

impl Caller {
    pub(super) fn new(tenant: &Arc<Tenant>, id: &str) -> Self {
        let named = |kind, parts: &[&str]| Key::named(kind, &parts.join("/"));
        let organisation = tenant.organisation.as_deref();
        let team_key = tenant.team.as_deref().map(|team| match organisation {
            Some(organisation) => named("team", &[organisation, team]),
            None => named("team", &[team]),
        });
        Self(Arc::new(Identity {
            id: id.to_owned(),
            key: named("key", &[&tenant.name, id]),
            tenant_key: named("tenant", &[&tenant.name]),
            team_key,
            organisation_key: organisation.map(|name| named("organisation", &[name])),
            tenant: Arc::clone(tenant),
        }))
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// What the key is called by which it asks.
    pub fn key_id(&self) -> &str {
        &self.0.id
    }

    /// The priority of the tenant's requests, where it has one.
    pub fn priority(&self) -> Option<u8> {
        self.0.tenant.priority
    }

    /// Whom to count by key: `key:TENANT/ID`.
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// Whom to count by tenant: `tenant:NAME`.
    pub fn tenant_key(&self) -> &Key {
        &self.0.tenant_key
    }

    /// Whom to count by team: `team:ORGANISATION/NAME`, or `team:NAME` of one without an organisation.
    pub fn team_key(&self) -> Option<&Key> {
        self.0.team_key.as_ref()
    }

    /// Whom to count by organisation: `organisation:NAME`.
    pub fn organisation_key(&self) -> Option<&Key> {
        self.0.organisation_key.as_ref()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.0.key)
    }
}

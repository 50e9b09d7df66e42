use std::{fmt, sync::Arc};

use super::Tenant;
use crate::key::{Identity, Key};

/// Who asks: a tenant, by one of its keys. Stands in the extensions of a request that was authenticated.
///
/// ```
/// use tower_relay::key::KeyBy;
///
/// // Counts by tenant, however many keys each has.
/// let by = KeyBy::tenant();
/// ```
#[derive(Clone)]
pub struct Caller(Arc<Known>);

struct Known {
    tenant: Arc<Tenant>,
    id: String,
    identity: Identity,
}

impl Caller {
    pub(super) fn new(tenant: &Arc<Tenant>, id: &str) -> Self {
        let named = |kind, parts: &[&str]| Key::named(kind, &parts.join("/"));
        let mut identity = Identity::new(named("tenant", &[&tenant.name]))
            .with_credential(named("key", &[&tenant.name, id]));
        let organisation = tenant.organisation.as_deref();
        if let Some(team) = &tenant.team {
            let within = organisation.into_iter().chain([team.as_str()]);
            identity = identity.with_team(named("team", &within.collect::<Vec<_>>()));
        }
        if let Some(name) = organisation {
            identity = identity.with_organisation(named("organisation", &[name]));
        }
        Self(Arc::new(Known {
            id: id.to_owned(),
            identity,
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

    /// By which keys its requests may be counted. Stands in their extensions too.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Whom to count by key: `key:TENANT/ID`.
    pub fn key(&self) -> &Key {
        self.0.identity.credential()
    }

    /// Whom to count by tenant: `tenant:NAME`.
    pub fn tenant_key(&self) -> &Key {
        self.0.identity.tenant()
    }

    /// Whom to count by team: `team:ORGANISATION/NAME`, or `team:NAME` of one without an organisation.
    pub fn team_key(&self) -> Option<&Key> {
        self.0.identity.team()
    }

    /// Whom to count by organisation: `organisation:NAME`.
    pub fn organisation_key(&self) -> Option<&Key> {
        self.0.identity.organisation()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.key())
    }
}

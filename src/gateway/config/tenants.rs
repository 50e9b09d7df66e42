use serde::Deserialize;

use super::Config;
use crate::{
    admission::{Limits, Priority},
    gateway::CredentialConfig,
    key::IdentityPart,
    message::{ConfigError, Endpoint, ModelPattern},
    reserve::Quota,
    server::tenants::{Tenant, TenantKey, Tenants},
};

/// One tenant: who they are, by which keys they call, what they may ask for and how much of it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TenantConfig {
    /// Its name in bills and logs.
    pub name: String,
    /// The organisation that it belongs to.
    pub organisation: Option<String>,
    /// The team that it belongs to, within its organisation.
    pub team: Option<String>,
    /// Its keys, by their hashes.
    pub keys: Vec<TenantKey>,
    /// The models that it may ask for, by the names that callers use. All, unless it is said.
    pub models: Option<Vec<ModelPattern>>,
    /// The endpoints that it may call. All, unless it is said.
    pub endpoints: Option<Vec<Endpoint>>,
    /// The upstreams that it may be sent to. All, unless it is said.
    pub upstreams: Option<Vec<String>>,
    /// Whether it may use what upstreams keep: files, batches, stored responses, conversations. Whoever has the same key at an
    /// upstream sees them, so unless it is said this is for tenants whose upstreams' keys are used by no other.
    pub stored_objects: Option<bool>,
    /// Who goes first where requests wait.
    pub priority: Option<Priority>,
    /// What it may use per time, all its keys together.
    pub limits: Option<Quota>,
    /// How many of its requests are in flight and wait, of all its keys together.
    pub admission: Option<Limits>,
    /// The same for each of its keys.
    pub each_key: AllowanceConfig,
}

/// How much some may use together: the tenants of an organisation, of a team, or one key.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AllowanceConfig {
    /// What they may use per time.
    pub limits: Option<Quota>,
    /// How many of their requests are in flight, and wait.
    pub admission: Option<Limits>,
}

impl TenantConfig {
    /// What it may use, all its keys together.
    pub(crate) fn allowance(&self) -> AllowanceConfig {
        AllowanceConfig {
            limits: self.limits.clone(),
            admission: self.admission,
        }
    }

    fn build(&self) -> Result<Tenant, ConfigError> {
        let mut tenant = Tenant::new(&self.name);
        if let Some(organisation) = &self.organisation {
            tenant = tenant.organisation(organisation);
        }
        if let Some(team) = &self.team {
            tenant = tenant.team(team);
        }
        super::no_empty_lists(self.models.as_deref(), self.endpoints.as_deref())?;
        if let Some(models) = &self.models {
            tenant = tenant.models(models.iter().cloned());
        }
        if let Some(endpoints) = &self.endpoints {
            tenant = tenant.endpoints(endpoints.iter().copied());
        }
        if let Some(upstreams) = &self.upstreams {
            tenant = tenant.upstreams(upstreams.iter().map(String::as_str));
        }
        if let Some(allowed) = self.stored_objects {
            tenant = tenant.stored_objects(allowed);
        }
        if let Some(priority) = self.priority {
            tenant = tenant.priority(priority.level());
        }
        Ok(self.keys.iter().cloned().fold(tenant, Tenant::key))
    }
}

impl Config {
    /// The tenants, where there are any.
    pub(crate) fn build_tenants(
        &self,
        before: Option<&Tenants>,
    ) -> Result<Option<Tenants>, ConfigError> {
        let in_list =
            |index: usize, error: ConfigError| error.within(&index.to_string()).within("tenants");
        self.check_budgets()?;
        if self.tenants.is_empty() {
            let unused = [
                ("organisations", self.organisations.is_empty()),
                ("teams", self.teams.is_empty()),
                ("tenant_state", self.tenant_state.is_none()),
            ];
            let reason = "is of no use without tenants: say who they are in [[tenants]], or limit everyone by [rate_limit]";
            return match unused.into_iter().find(|(_, is_empty)| !is_empty) {
                Some((field, _)) => Err(ConfigError::new(field, reason)),
                None => Ok(None),
            };
        }
        let mut tenants = Vec::new();
        for (index, config) in self.tenants.iter().enumerate() {
            let mut tenant = config.build().map_err(|error| in_list(index, error))?;
            if config.stored_objects.is_none() && self.has_keys_of_its_own(index) {
                tenant = tenant.stored_objects(true);
            }
            tenants.push(tenant);
            for (place, name) in config.upstreams.iter().flatten().enumerate() {
                if !self.upstreams.iter().any(|upstream| upstream.name == *name) {
                    let known = self.upstreams.iter().map(|upstream| &*upstream.name);
                    let reason = super::no_such("upstream", name, &known.collect::<Vec<_>>());
                    let error = ConfigError::new(place.to_string(), reason);
                    return Err(in_list(index, error.within("upstreams")));
                }
            }
            if config.upstreams.as_ref().is_some_and(Vec::is_empty) {
                let error = ConfigError::new("upstreams", "names none: without it all are allowed");
                return Err(in_list(index, error));
            }
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            if upstream.credential == CredentialConfig::Caller {
                let reason =
                    "would send the keys of tenants to the upstream: it needs one of its own";
                let error = ConfigError::new("credential", reason);
                return Err(error.within(&index.to_string()).within("upstreams"));
            }
        }
        let built = Tenants::new(tenants.iter().cloned());
        let built = built.map_err(|error| error.within("tenants"))?;
        self.check_groups(&built)?;
        match (&self.tenant_state, before) {
            (None, None) => Ok(Some(built)),
            (None, Some(before)) => Tenants::continuing(tenants, before).map(Some),
            (Some(path), _) => Tenants::with_state_file(tenants, path)
                .map(Some)
                .map_err(|error| ConfigError::new("tenant_state", error.reason().to_owned())),
        }
    }

    /// Whether no other tenant's requests are sent with a key with which those of the tenant at `index` are.
    fn has_keys_of_its_own(&self, index: usize) -> bool {
        let credentials = |tenant: &TenantConfig| -> Vec<&CredentialConfig> {
            let names = tenant.upstreams.as_ref();
            let reached = self.upstreams.iter();
            reached
                .filter(|upstream| names.is_none_or(|names| names.contains(&upstream.name)))
                .map(|upstream| &upstream.credential)
                .collect()
        };
        let Some(own) = self.tenants.get(index).map(credentials) else {
            return false;
        };
        let others = self.tenants.iter().enumerate();
        let mut others = others.filter(|(place, _)| *place != index);
        others.all(|(_, other)| !credentials(other).iter().any(|key| own.contains(key)))
    }

    /// A budget of those whom there are none of would limit nobody.
    fn check_budgets(&self) -> Result<(), ConfigError> {
        let tenants = self.tenants.as_slice();
        for (index, budget) in self.budgets.iter().enumerate() {
            let reason = match budget.identity_part() {
                Some(_) if tenants.is_empty() => {
                    "counts nobody without tenants: say who they are in [[tenants]], or count by \"api_key\""
                }
                Some(IdentityPart::Team) if tenants.iter().all(|tenant| tenant.team.is_none()) => {
                    "counts nobody, as no tenant is of a team"
                }
                Some(IdentityPart::Organisation)
                    if tenants.iter().all(|tenant| tenant.organisation.is_none()) =>
                {
                    "counts nobody, as no tenant is of an organisation"
                }
                _ => continue,
            };
            let error = ConfigError::new("by", reason).within(&index.to_string());
            return Err(error.within("budgets"));
        }
        Ok(())
    }

    /// Limits of those whom nobody belongs to are a mistake in the name.
    fn check_groups(&self, tenants: &Tenants) -> Result<(), ConfigError> {
        let callers: Vec<_> = tenants.callers().collect();
        for (field, kind, names) in [
            ("organisations", "organisation", self.organisations.keys()),
            ("teams", "team", self.teams.keys()),
        ] {
            for name in names {
                let shown = format!("{kind}:{name}");
                let is_known = callers.iter().any(|caller| {
                    let mut keys = [caller.organisation_key(), caller.team_key()].into_iter();
                    keys.any(|key| key.is_some_and(|key| key.to_string() == shown))
                });
                if !is_known {
                    let reason = match kind {
                        "team" => {
                            "no tenant is of that team: a team is named as \"ORGANISATION/TEAM\""
                        }
                        _ => "no tenant is of that organisation",
                    };
                    return Err(ConfigError::new(name.clone(), reason).within(field));
                }
            }
        }
        Ok(())
    }
}

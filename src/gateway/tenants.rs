//! What a gateway's tenants may use: limits within limits.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use http::Request;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;

use super::{Config, Stack, config::AllowanceConfig, stack::Parts};
use crate::{
    admission::{AdmissionBuilder, AdmissionHandle, AdmissionLayer, Limits, Priority, PriorityBy},
    key::{Holders, Key, KeyBy, Missing},
    message::{ConfigError, RequestBody, ResponseBody},
    rate_limit::{RateLimitBuilder, RateLimitLayer},
    reserve::Quota,
    server::tenants::Caller,
};

/// The limits of tenants, by key, tenant, team and organisation, the narrowest outermost: who is refused by it takes nothing of the others',
/// and who waits for it keeps nobody else's room.
///
/// Only what the configuration names is there, each a box of its own: a request without such limits passes none.
#[derive(Clone)]
pub(super) struct AllowanceLayer {
    /// From the outermost on.
    rates: Vec<RateLimitLayer>,
    admissions: Vec<AdmissionLayer>,
}

/// Which of a tenant's requests are counted together.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AllowanceLevel {
    /// Those by one key: `Key::named("key", "TENANT/ID")`.
    Key,
    /// Those of the tenant: `Key::named("tenant", "NAME")`.
    Tenant,
    /// Those of its team: `Key::named("team", "ORGANISATION/NAME")`, or `"NAME"` of one without an organisation.
    Team,
    /// Those of its organisation: `Key::named("organisation", "NAME")`.
    Organisation,
}

impl AllowanceLevel {
    const ALL: [Self; 4] = [Self::Key, Self::Tenant, Self::Team, Self::Organisation];

    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Team => "team",
            Self::Organisation => "organisation",
        }
    }

    fn key(self, caller: &Caller) -> Option<&Key> {
        match self {
            Self::Key => Some(caller.key()),
            Self::Tenant => Some(caller.tenant_key()),
            Self::Team => caller.team_key(),
            Self::Organisation => caller.organisation_key(),
        }
    }

    /// Whose allowance holds: at each key that of its tenant.
    fn allowance_key(self, caller: &Caller) -> Option<&Key> {
        match self {
            Self::Key => Some(caller.tenant_key()),
            _ => self.key(caller),
        }
    }

    /// The allowances of this level, by whose they are.
    fn allowances(self, config: &Config) -> HashMap<Key, AllowanceConfig> {
        let named = |kind, groups: &BTreeMap<String, AllowanceConfig>| {
            let groups = groups.iter();
            groups
                .map(|(name, allowance)| (Key::named(kind, name), allowance.clone()))
                .collect()
        };
        let tenants = config.tenants.iter();
        match self {
            Self::Key => tenants
                .map(|tenant| (Key::named("tenant", &tenant.name), tenant.each_key.clone()))
                .collect(),
            Self::Tenant => tenants
                .map(|tenant| (Key::named("tenant", &tenant.name), tenant.allowance()))
                .collect(),
            Self::Team => named("team", &config.teams),
            Self::Organisation => named("organisation", &config.organisations),
        }
    }

    /// Whose allowance holds for those who are counted as `key` at this level. A key is named within its tenant: `key:TENANT/ID`, and
    /// neither name has a slash.
    fn allowance_of(self, key: &Key) -> Option<Key> {
        if self != Self::Key {
            return Some(key.clone());
        }
        let shown = key.to_string();
        let tenant = shown.strip_prefix("key:")?.split('/').next()?;
        Some(Key::named("tenant", tenant))
    }

    /// Those who have something to be counted.
    fn holders<T: Send + Sync + 'static>(self, of: &Arc<HashMap<Key, T>>) -> Holders {
        let of = Arc::clone(of);
        Holders::only(move |key| {
            let whose = self.allowance_of(key);
            whose.is_some_and(|whose| of.contains_key(&whose))
        })
    }

    /// Whom a request is counted for, where one of these has something to be counted.
    fn by<T: Send + Sync + 'static>(self, of: &Arc<HashMap<Key, T>>) -> KeyBy {
        let of = Arc::clone(of);
        let key_of = move |request: &Request<RequestBody>| {
            let caller = request.extensions().get::<Caller>()?;
            let is_counted = of.contains_key(self.allowance_key(caller)?);
            is_counted.then(|| self.key(caller).cloned()).flatten()
        };
        KeyBy::custom(key_of).when_missing(Missing::Exempt)
    }
}

impl AllowanceLayer {
    /// The limits that `config` names.
    pub(super) fn new(config: &Config, parts: &mut Parts<'_>) -> Result<Self, ConfigError> {
        let before = Arc::clone(&parts.before);
        let (mut rates, mut admissions) = (Vec::new(), Vec::new());
        for level in AllowanceLevel::ALL {
            let allowances = level.allowances(config);
            let quotas = |(key, allowance): (&Key, &AllowanceConfig)| {
                Some((key.clone(), allowance.limits.clone()?))
            };
            let quotas = allowances.iter().filter_map(quotas).collect();
            let like = config.rate_limit.as_ref();
            if let Some(limit) = rate_limit(level, quotas, like, parts)? {
                parts.layers.rate_limits_by.insert(level, limit.handle());
                rates.push(limit);
            }
            let limits = |(key, allowance): (&Key, &AllowanceConfig)| {
                Some((key.clone(), allowance.admission?))
            };
            let limits = allowances.iter().filter_map(limits).collect();
            let earlier = before.admissions_by.get(&level);
            if let Some(admission) = admission(level, limits, config.admission.as_ref(), earlier)? {
                parts.layers.admissions_by.insert(level, admission.handle());
                parts.at_last(admission.take_over());
                admissions.push(admission);
            }
        }
        Ok(Self { rates, admissions })
    }
}

fn rate_limit(
    level: AllowanceLevel,
    quotas: HashMap<Key, Quota>,
    global: Option<&RateLimitBuilder>,
    parts: &Parts<'_>,
) -> Result<Option<RateLimitLayer>, ConfigError> {
    if quotas.is_empty() {
        return Ok(None);
    }
    let quotas = Arc::new(quotas);
    // What is reserved, how long one may wait and what is told is as it is for all. The levels' keys are of different kinds: one
    // scope holds them all.
    let builder = parts.stored("allowances", global.cloned().unwrap_or_default());
    let builder = builder.by(level.by(&quotas));
    let builder = builder.only_for(level.holders(&quotas));
    let builder = builder.continuing(parts.before.rate_limits_by.get(&level));
    let builder = match level {
        // Which keys there are may change.
        AllowanceLevel::Key => builder.quota_by(move |_, request| {
            let caller = request.extensions().get::<Caller>()?;
            quotas.get(level.allowance_key(caller)?).cloned()
        }),
        _ => quotas.iter().fold(builder, |builder, (key, quota)| {
            builder.quota_for(key.clone(), quota.clone())
        }),
    };
    builder.build().map(Some)
}

fn admission(
    level: AllowanceLevel,
    limits: HashMap<Key, Limits>,
    global: Option<&AdmissionBuilder>,
    before: Option<&AdmissionHandle>,
) -> Result<Option<AdmissionLayer>, ConfigError> {
    if limits.is_empty() {
        return Ok(None);
    }
    let limits = Arc::new(limits);
    let by = level.by(&limits);
    let holders = level.holders(&limits);
    let limits_of = move |key: &Key| limits.get(&level.allowance_of(key)?).copied();
    // How long one may wait, and when those who are shed may come again, is as it is for all.
    let builder = global.cloned().unwrap_or_default();
    builder
        .fixed()
        .by(by)
        .only_for(holders)
        .limits_by(limits_of)
        .priority(priority())
        .continuing(before)
        .build()
        .map(Some)
}

/// Who goes first where the tenants say so.
pub(super) fn priority() -> PriorityBy {
    PriorityBy::custom(|request| {
        let caller = request.extensions().get::<Caller>()?;
        caller.priority().map(Priority::new)
    })
}

/// Whom attempts are recorded for: a tenant's key by its name, and anybody else's by its digest.
pub(super) fn counted_by() -> KeyBy {
    let by_digest = KeyBy::api_key().when_missing(Missing::Exempt);
    KeyBy::custom(move |request| match request.extensions().get::<Caller>() {
        Some(caller) => Some(caller.key().clone()),
        None => by_digest.key_of(request).ok().flatten(),
    })
    .when_missing(Missing::Exempt)
}

/// Whose answers are kept apart: a tenant's, and where there are none those of each API key.
pub(super) fn answered_by() -> KeyBy {
    let by_digest = KeyBy::api_key().when_missing(Missing::Exempt);
    KeyBy::custom(move |request| match request.extensions().get::<Caller>() {
        Some(caller) => Some(caller.tenant_key().clone()),
        None => by_digest.key_of(request).ok().flatten(),
    })
    .when_missing(Missing::Exempt)
}

impl<S: Stack> Layer<S> for AllowanceLayer {
    type Service = BoxCloneSyncService<
        Request<RequestBody>,
        http::Response<ResponseBody>,
        std::convert::Infallible,
    >;

    fn layer(&self, inner: S) -> Self::Service {
        let mut stack = BoxCloneSyncService::new(inner);
        // The innermost first.
        for layer in self.admissions.iter().rev() {
            stack = BoxCloneSyncService::new(layer.layer(stack));
        }
        for layer in self.rates.iter().rev() {
            stack = BoxCloneSyncService::new(layer.layer(stack));
        }
        stack
    }
}

impl fmt::Debug for AllowanceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllowanceLayer")
            .field("rates", &self.rates.len())
            .field("admissions", &self.admissions.len())
            .finish()
    }
}

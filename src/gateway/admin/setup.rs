//! From a configuration to what operators see and change.

use super::{AdminService, aliases::ListedAliases, prices::Prices};
use crate::{
    gateway::{Config, listing::Listing, stack::Parts},
    message::ConfigError,
    server::{
        Models,
        admin::{Admin, Changes},
        dashboard::Dashboard,
        status::{Refusals, Replica, Status, StatusStream},
    },
};

impl Config {
    /// What operators see and change of the layers in `parts`, where the configuration has a place for them; and what watches, where it says so.
    pub(in crate::gateway) fn operators(
        &self,
        parts: &mut Parts<'_>,
        listing: &Listing,
        refusals: &Refusals,
    ) -> Result<Option<AdminService>, ConfigError> {
        let controls = parts.handles.controls().clone();
        let prices = Prices {
            config: self.catalog.clone(),
            listing: listing.clone(),
        };
        controls.add("catalog", prices);
        if let Some(aliases) = listing.aliases() {
            let aliases = ListedAliases {
                aliases: aliases.clone(),
                listing: listing.clone(),
            };
            controls.add("gateway", aliases);
        }
        let name = self.replica_name(parts.env);
        if let Some(config) = &self.alerts {
            let within = |error: ConfigError| error.within("alerts");
            let mut alerts = config.builder(parts.env).map_err(within)?;
            if let Some(ledger) = &parts.audit {
                alerts = alerts.ledger(ledger.clone());
            }
            let alerts = alerts.relay(name.as_str());
            let alerts = alerts.stats(parts.handles.stats()).controls(&controls);
            let (alerts, worker) = alerts.build().map_err(within)?;
            controls.add("relay", alerts);
            parts.workers.push(worker);
        }
        let Some(config) = &self.admin else {
            return Ok(None);
        };
        let access = config.access(parts.env);
        let access = access.map_err(|error| error.within("admin"))?;
        let baselines = if config.baselines.is_empty() {
            let models = listing.models();
            models.map(Models::names).unwrap_or_default()
        } else {
            config.baselines.clone()
        };
        let changes = Changes::default();
        let mut status = Status::builder()
            .replica(self.replica(name))
            .stats(parts.handles.stats())
            .controls(&controls)
            .catalog(&parts.catalog)
            .baselines(baselines)
            .refusals(refusals)
            .changes(&changes)
            .access(&access);
        if let Some(ledger) = &parts.audit {
            status = status.ledger(ledger.clone());
        }
        let status = status.build();
        let admin = Admin::new(&controls, &access);
        Ok(Some(AdminService {
            stream: StatusStream::new(&status),
            admin: admin.noting(&changes).refreshing(&status),
            dashboard: Dashboard::new(&access),
            status,
        }))
    }

    fn replica_name(&self, env: &dyn Fn(&str) -> Option<String>) -> String {
        let said = self.admin.as_ref().and_then(|admin| admin.name.clone());
        said.or_else(|| env("HOSTNAME"))
            .unwrap_or_else(|| self.listen.to_string())
    }

    fn replica(&self, name: String) -> Replica {
        let replica = Replica::new(name);
        match &self.store.redis {
            Some(redis) => replica.one_of(redis.replica_count(), ["limits", "budgets"]),
            None => replica,
        }
    }
}

//! From a configuration to what operators see and change.

use std::sync::Arc;

use super::{AdminService, aliases::ListedAliases, prices::Prices};
use crate::{
    control::Controls,
    gateway::{Config, listing::Listing, meters, stack::Parts},
    message::ConfigError,
    server::{
        Facts, Metrics, Models, Prometheus,
        admin::{Access, Admin, Changes},
        alerts::Alerts,
        dashboard::Dashboard,
        status::{Refusals, Replica, Status, StatusBuilder, StatusStream},
    },
};

impl Config {
    /// What operators see and change of the layers in `parts`, where the configuration has a place for them; and what watches, where it says so.
    ///
    /// Both outlive the stack: what they show and steer is replaced when another takes its place.
    pub(in crate::gateway) fn operators(
        &self,
        parts: &mut Parts<'_>,
        listing: &Listing,
    ) -> Result<Option<AdminService>, ConfigError> {
        let controls = parts.keep("controls", "", (), || Ok((Controls::default(), Vec::new())))?;
        parts.layers.controls = controls.clone();
        let in_force = parts.layers.to_controls();
        let prices = Prices {
            config: self.catalog.clone(),
            listing: listing.clone(),
        };
        in_force.add("catalog", prices);
        if let Some(aliases) = listing.aliases() {
            let aliases = ListedAliases {
                aliases: aliases.clone(),
                listing: listing.clone(),
            };
            in_force.add("gateway", aliases);
        }
        let alerts = self.alerting(parts, &controls);
        if let Some(alerts) = alerts.map_err(|error| error.within("alerts"))? {
            in_force.add("relay", alerts);
        }
        let operators = match &self.admin {
            Some(config) => {
                let access = config.access(parts.env);
                let access = access.map_err(|error| error.within("admin"))?;
                Some(self.admin_service(parts, listing, &controls, access)?)
            }
            // Its port is open until a restart.
            None => parts.keep_on("operators", ""),
        };
        parts.at_last(move || controls.replace(&in_force));
        Ok(operators)
    }

    /// What operators ask: the same as before, which shows what is new.
    fn admin_service(
        &self,
        parts: &mut Parts<'_>,
        listing: &Listing,
        controls: &Controls,
        access: Access,
    ) -> Result<AdminService, ConfigError> {
        let prometheus = parts.prometheus.clone();
        let new = || Ok((AdminService::new(controls, prometheus), Vec::new()));
        let operators = parts.keep("operators", "", (), new)?;
        let status = self.status(parts, listing, controls, &operators);
        let kept = operators.clone();
        parts.at_last(move || {
            kept.access.replace(&access);
            kept.status.replace(status);
        });
        Ok(operators)
    }

    fn status(
        &self,
        parts: &Parts<'_>,
        listing: &Listing,
        controls: &Controls,
        operators: &AdminService,
    ) -> StatusBuilder {
        let named = self.admin.iter().flat_map(|admin| admin.baselines.clone());
        let mut baselines: Vec<_> = named.collect();
        if baselines.is_empty() {
            baselines = listing.models().map(Models::names).unwrap_or_default();
        }
        Status::builder()
            .replica(self.replica(parts.env))
            .facts(&facts(parts, controls))
            .catalog(&parts.catalog)
            .baselines(baselines)
            .refusals(&operators.refusals)
            .changes(&operators.changes)
            .access(&operators.access)
    }

    /// What watches: the same as before, where the configuration says the same.
    fn alerting(
        &self,
        parts: &mut Parts<'_>,
        controls: &Controls,
    ) -> Result<Option<Alerts>, ConfigError> {
        let Some(config) = &self.alerts else {
            return Ok(None);
        };
        let name = self.replica_name(parts.env);
        let made_of = (
            config.clone(),
            config.secrets(parts.env)?,
            self.audit.clone(),
            name.clone(),
        );
        let builder = config.builder(parts.env)?.relay(name);
        let builder = builder.facts(&facts(parts, controls));
        let build = || {
            builder
                .build()
                .map(|(alerts, worker)| (alerts, vec![worker]))
        };
        parts.keep("alerts", "", made_of, build).map(Some)
    }

    fn replica_name(&self, env: &dyn Fn(&str) -> Option<String>) -> String {
        let said = self.admin.as_ref().and_then(|admin| admin.name.clone());
        said.or_else(|| env("HOSTNAME"))
            .unwrap_or_else(|| self.listen.to_string())
    }

    fn replica(&self, env: &dyn Fn(&str) -> Option<String>) -> Replica {
        let replica = Replica::new(self.replica_name(env));
        match &self.store.redis {
            Some(redis) => replica.one_of(redis.replica_count(), ["limits", "budgets"]),
            None => replica,
        }
    }
}

/// What is known of the stack that is made of `parts`.
fn facts(parts: &Parts<'_>, controls: &Controls) -> Facts {
    let facts = Facts::default().stats(parts.stats).controls(controls);
    match &parts.audit {
        Some(ledger) => facts.ledger(Arc::clone(ledger)),
        None => facts,
    }
}

impl AdminService {
    /// Steers `controls`, for nobody yet, and shows nothing yet.
    fn new(controls: &Controls, prometheus: Prometheus) -> Self {
        let refusals = Refusals::default();
        meters::sample_refusals(&prometheus, refusals.clone());
        let (access, changes) = (Access::default(), Changes::default());
        let status = Status::builder().access(&access).build();
        let admin = Admin::new(controls, &access);
        Self {
            stream: StatusStream::new(&status),
            admin: admin.noting(&changes).refreshing(&status),
            dashboard: Dashboard::new(&access),
            metrics: Metrics::new(prometheus),
            status,
            access,
            changes,
            refusals,
        }
    }
}

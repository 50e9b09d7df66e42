//! A configuration as the stack that it describes.

mod route;
mod upstream;

use std::fmt::{self, Display, Formatter, Write as _};

use self::{route::write_route, upstream::write_upstream};
use crate::{
    cache::CacheBuilder,
    gateway::{AllowanceConfig, Config, RouteCache, RouteConfig, TenantConfig},
    message::{Endpoint, ModelPattern},
    model_rewrite::ModelRewriteBuilder,
};

/// Prints a configuration as a tree, the outermost layer first.
pub(super) struct Tree<'a> {
    pub(super) config: &'a Config,
    /// Whether there are names to list: otherwise a request for the list is one like any other.
    pub(super) lists_models: bool,
}

impl Display for Tree<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Config {
            listen,
            server,
            telemetry,
            store,
            tenants,
            organisations,
            teams,
            rate_limit,
            admission,
            model_select,
            budgets,
            models,
            cache,
            shadow,
            admin,
            alerts,
            feedback,
            routes,
            upstreams,
            audit,
            ..
        } = self.config;
        let versions = if server.http2 {
            "HTTP/1.1 and HTTP/2"
        } else {
            "HTTP/1.1"
        };
        writeln!(
            f,
            "{listen}  {versions}, at most {} connections",
            server.max_connections
        )?;
        if server.cors.enabled {
            writeln!(f, "├─ CORS for {}", server.cors.origins.join(", "))?;
        }
        writeln!(f, "├─ GET /health")?;
        if self.lists_models {
            writeln!(f, "├─ GET /v1/models")?;
        }
        if let Some(admin) = admin {
            let token = match (admin.tokens.len(), admin.token_to_read) {
                (0, _) => "only to look at",
                (_, false) => "changes need a token",
                (_, true) => "with a token",
            };
            writeln!(
                f,
                "├─ operators  http://{}/dashboard, {token}",
                admin.listen
            )?;
        }
        if let Some(alerts) = alerts {
            let webhook = alerts.webhook.as_ref().map_or("", |_| ", to a webhook");
            let state = if alerts.enabled {
                "on"
            } else {
                "off until switched on"
            };
            writeln!(f, "├─ alerts  {state}{webhook}")?;
        }
        if let Some(feedback) = feedback {
            writeln!(f, "├─ Feedback  {}", feedback.describe())?;
        }
        if let Some(redis) = &store.redis {
            writeln!(f, "├─ Redis  {}", redis.describe())?;
        }
        if let Some(audit) = audit {
            writeln!(f, "├─ Audit  {}", audit.path().display())?;
        }
        writeln!(f, "└─ Edge")?;
        let mut indent = String::from("   ");
        if let Some(telemetry) = telemetry {
            let recorded = telemetry.settings().join(", ");
            writeln!(f, "{indent}└─ Telemetry  {recorded}")?;
            indent.push_str("   ");
        }
        if !tenants.is_empty() {
            writeln!(f, "{indent}└─ Auth  {}", list(tenants.iter().map(tenant)))?;
            indent.push_str("   ");
        }
        if let Some(limit) = rate_limit {
            writeln!(f, "{indent}└─ RateLimit  {}", limit.describe())?;
            indent.push_str("   ");
        }
        if !budgets.is_empty() {
            let budgets = list(budgets.iter().map(ToString::to_string));
            writeln!(f, "{indent}└─ Budget  {budgets}")?;
            indent.push_str("   ");
        }
        let each_key = tenants.iter().map(|tenant| tenant.each_key.clone());
        let of_tenants = tenants.iter().map(TenantConfig::allowance);
        for (level, allowances) in [
            ("each key", each_key.collect::<Vec<_>>()),
            ("tenant", of_tenants.collect()),
            ("team", teams.values().cloned().collect()),
            ("organisation", organisations.values().cloned().collect()),
        ] {
            let count = |has: &dyn Fn(&AllowanceConfig) -> bool| {
                allowances.iter().filter(|allowance| has(allowance)).count()
            };
            let limits = count(&|allowance| allowance.limits.is_some());
            let admissions = count(&|allowance| allowance.admission.is_some());
            if limits + admissions > 0 {
                writeln!(
                    f,
                    "{indent}└─ by {level}: {limits} with limits, {admissions} with admission"
                )?;
                indent.push_str("   ");
            }
        }
        if let Some(admission) = admission {
            writeln!(f, "{indent}└─ Admission  {}", admission.describe())?;
            indent.push_str("   ");
        }
        if let Some(select) = model_select {
            writeln!(f, "{indent}└─ ModelSelect  {}", select.describe())?;
            indent.push_str("   ");
        }
        if let Some(models) = models {
            writeln!(f, "{indent}└─ ModelRewrite  {}", rewrite(models))?;
            indent.push_str("   ");
        }
        if cache.is_some() || routes.iter().any(has_cache) {
            let described = cache.as_ref().map(CacheBuilder::describe);
            writeln!(
                f,
                "{indent}└─ Cache  {}",
                described.as_deref().unwrap_or("off")
            )?;
            indent.push_str("   ");
            for route in routes {
                let described = match &route.cache {
                    None => continue,
                    Some(RouteCache::Off) => "off".to_owned(),
                    Some(RouteCache::Own(cache)) => cache.describe(),
                };
                writeln!(f, "{indent}├─ for {}  {described}", route.name)?;
            }
        }
        if let Some(shadow) = shadow {
            writeln!(f, "{indent}└─ Shadow  {}", shadow.describe())?;
            indent.push_str("   ");
        }
        writeln!(f, "{indent}└─ ModelRoute")?;
        indent.push_str("   ");
        for route in routes {
            // At least one upstream follows.
            write_route(f, route, &indent, self.config.store.redis.is_some())?;
        }
        for (index, upstream) in upstreams.iter().enumerate() {
            let is_last = index + 1 == upstreams.len();
            let around = (self.config.meters_all(), self.config.has_rollouts());
            write_upstream(f, upstream, &indent, is_last, around)?;
        }
        Ok(())
    }
}

fn has_cache(route: &RouteConfig) -> bool {
    matches!(route.cache, Some(RouteCache::Own(_)))
}

fn tenant(tenant: &TenantConfig) -> String {
    let mut text = tenant.name.clone();
    if let Some(upstreams) = &tenant.upstreams {
        // Writing to a string cannot fail.
        let _ = write!(text, " (only at {})", upstreams.join(" and "));
    }
    text
}

/// The rest of the line of an upstream or route.
fn write_about(
    f: &mut Formatter<'_>,
    label: Option<&str>,
    models: Option<&[ModelPattern]>,
    endpoints: Option<&[Endpoint]>,
) -> fmt::Result {
    if let Some(label) = label {
        write!(f, " ({label})")?;
    }
    if let Some(models) = models {
        let models = list(models.iter().map(ModelPattern::to_string));
        write!(f, "  serves {models}")?;
    }
    if let Some(endpoints) = endpoints {
        let endpoints = list(endpoints.iter().map(|endpoint| endpoint.as_str()));
        write!(f, "  at {endpoints}")?;
    }
    writeln!(f)
}

fn rewrite(models: &ModelRewriteBuilder) -> String {
    let arrows = models
        .get_aliases()
        .entries()
        .into_iter()
        .map(|(name, target)| format!("{name} → {target}"));
    list(arrows.chain(models.settings()))
}

fn list<T: Into<String>>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(Into::into)
        .collect::<Vec<String>>()
        .join(", ")
}

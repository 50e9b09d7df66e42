//! The models that a gateway lists, as they are now.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Config, UpstreamConfig, models::Offer};
use crate::{
    client::Upstreams,
    message::catalog::ModelCatalog,
    model_rewrite::ModelRewriteHandle,
    server::{Models, tenants::Tenants},
    stats::{Latency, Stats},
};

/// What `/v1/models` answers, to all and to each tenant, and what it is made of: it is made anew when aliases or prices have changed. Clones are
/// one.
#[derive(Clone)]
pub(super) struct Listing(Arc<Shared>);

struct Shared {
    config: Config,
    rewrite: Option<ModelRewriteHandle>,
    upstreams: Upstreams,
    catalog: ModelCatalog,
    tenants: Option<Tenants>,
    models: Option<Models>,
    models_of: Option<HashMap<String, Models>>,
}

impl Listing {
    pub(super) fn new(
        config: &Config,
        rewrite: Option<ModelRewriteHandle>,
        upstreams: &Upstreams,
        catalog: &ModelCatalog,
        tenants: Option<&Tenants>,
        stats: &Stats,
    ) -> Self {
        let mut shared = Shared {
            config: config.clone(),
            rewrite,
            upstreams: upstreams.clone(),
            catalog: catalog.clone(),
            tenants: tenants.cloned(),
            models: None,
            models_of: None,
        };
        let latency = Latencies {
            config: config.clone(),
            rewrite: shared.rewrite.clone(),
            stats: stats.clone(),
        };
        let latency = Arc::new(latency);
        let with_latency = |models: Models| {
            let latency = Arc::clone(&latency);
            models.with_latency(move |name| latency.of(name))
        };
        shared.models = shared.offer().models(None).map(with_latency);
        let of_tenants = shared.offer_to_tenants();
        shared.models_of = of_tenants.map(|all| {
            let all = all.into_iter();
            all.map(|(tenant, models)| (tenant, with_latency(models)))
                .collect()
        });
        Self(Arc::new(shared))
    }

    /// What everyone is shown, where there is a name to list.
    pub(super) fn models(&self) -> Option<&Models> {
        self.0.models.as_ref()
    }

    /// What each tenant is shown.
    pub(super) fn models_of(&self) -> Option<&HashMap<String, Models>> {
        self.0.models_of.as_ref()
    }

    /// The aliases, where there are any to change.
    pub(super) fn aliases(&self) -> Option<&ModelRewriteHandle> {
        self.0.rewrite.as_ref()
    }

    pub(super) fn catalog(&self) -> &ModelCatalog {
        &self.0.catalog
    }

    /// Lists what there is now. A list that had no name at all stays an upstream's own.
    pub(super) fn refresh(&self) {
        let Shared {
            models, models_of, ..
        } = &*self.0;
        if let (Some(models), Some(now)) = (models, self.0.offer().models(None)) {
            models.replace(&now);
        }
        let now = self.0.offer_to_tenants().unwrap_or_default();
        for (tenant, models) in models_of.iter().flatten() {
            if let Some(now) = now.get(tenant) {
                models.replace(now);
            }
        }
    }
}

/// How long models take, by the names that callers have for them.
struct Latencies {
    config: Config,
    rewrite: Option<ModelRewriteHandle>,
    stats: Stats,
}

impl Latencies {
    /// At the upstream that takes longest of those that have answered for it.
    fn of(&self, name: &str) -> Option<Duration> {
        let rewrite = self.rewrite.as_ref();
        let target = rewrite.and_then(|rewrite| rewrite.resolve(name));
        let model = target.as_deref().unwrap_or(name);
        let now = Instant::now();
        let upstreams = self.config.upstreams.iter();
        let at = |upstream: &UpstreamConfig| {
            let aliases = upstream.aliases.as_ref();
            let own = aliases.and_then(|aliases| aliases.resolve(model));
            let own = own.as_deref().unwrap_or(model);
            let series = (upstream.name.trim(), own);
            self.stats.quantile(series, now, Latency::Total, 0.95)
        };
        upstreams.filter_map(at).max()
    }
}

impl Shared {
    fn offer(&self) -> Offer<'_> {
        Offer {
            rewrite: self.rewrite.as_ref(),
            upstreams: &self.upstreams,
            config: &self.config,
            catalog: &self.catalog,
        }
    }

    fn offer_to_tenants(&self) -> Option<HashMap<String, Models>> {
        let tenants = self.tenants.as_ref();
        tenants.map(|tenants| self.offer().models_of(tenants))
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listing").field(&self.0.models).finish()
    }
}

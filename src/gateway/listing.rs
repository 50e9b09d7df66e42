//! The models that a gateway lists, as they are now.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{Config, models::Offer};
use crate::{
    client::Upstreams,
    message::catalog::ModelCatalog,
    model_rewrite::ModelRewriteHandle,
    server::{Models, tenants::Tenants},
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
        shared.models = shared.offer().models(None);
        shared.models_of = shared.offer_to_tenants();
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

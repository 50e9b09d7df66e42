//! From tokens to money.

use std::{sync::Arc, time::SystemTime};

use super::{Multiplier, StatedCost};
use crate::message::{
    catalog::{Cost, ModelCatalog, ModelInfo},
    usage::Usage,
};

/// The prices of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Pricing {
    model: Option<Arc<ModelInfo>>,
    multiplier: Multiplier,
    stated: StatedCost,
    /// When it was asked for: off-peak hours are those of the request.
    at: SystemTime,
}

impl Pricing {
    pub(super) fn new(multiplier: Multiplier, stated: StatedCost, at: SystemTime) -> Self {
        Self {
            model: None,
            multiplier,
            stated,
            at,
        }
    }

    /// Takes the prices of the first of these names that the catalog knows, at `provider` where it is said.
    pub(super) fn look_up<'a>(
        &mut self,
        catalog: &ModelCatalog,
        provider: Option<&str>,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        self.model = names.into_iter().find_map(|name| {
            let found = match provider {
                Some(provider) => catalog.get_at(provider, name),
                None => catalog.get(name),
            };
            found.filter(|model| model.prices.is_some())
        });
    }

    /// What `usage` costs, served in `tier`, where the provider states `stated`; `None` where nobody knows.
    pub(super) fn cost(
        &self,
        usage: &Usage,
        tier: Option<&str>,
        stated: Option<Cost>,
    ) -> Option<Cost> {
        let own = || {
            let prices = self.model.as_ref()?.prices.as_ref()?;
            let cost = prices.cost(usage, tier, self.at)?;
            Some(self.multiplier.of(cost))
        };
        match self.stated {
            StatedCost::Prefer => stated.or_else(own),
            StatedCost::WhenUnpriced => own().or(stated),
            StatedCost::Ignore => own(),
        }
    }
}

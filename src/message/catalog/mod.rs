//! What is known of models: windows, caps, capabilities and prices, in one table for every layer.
//!
//! ```
//! use tower_relay::message::catalog::{ModelCatalog, ModelInfo, ModelTable, Price};
//!
//! let catalog = ModelCatalog::builtin();
//! let model = catalog.get("openai/gpt-4.1-2025-04-14").unwrap();
//! assert_eq!(&*model.id, "gpt-4.1");
//! assert_eq!(model.context_window, Some(1_047_576));
//! assert_eq!(model.prices.as_ref().unwrap().base.input, Price::per_million("2.00"));
//!
//! let mut yours = ModelInfo::new("gpt-4.1");
//! yours.context_window = Some(128_000);
//! catalog.set(ModelTable::builtin().overlay(&ModelTable::from_iter([yours])));
//! assert_eq!(catalog.get("gpt-4.1").unwrap().context_window, Some(128_000));
//! ```
//!
//! Tables come from the crate itself ([`ModelTable::builtin`]), from LiteLLM's price list ([`ModelTable::from_litellm_json`]),
//! and from your own file: [`ModelTable`] deserializes, and the `gateway` feature adds `ModelTable::from_toml`. They are laid
//! over each other with [`ModelTable::overlay`]: first what is built in, then what was loaded, then yours.
//!
//! # Prices
//!
//! A price is an integer, in pico-USD a token ([`Price`]). What is not known is `None` and makes no bill, least of all
//! one of zero. The built-in prices are list prices of November 2026 without tiers by prompt size or service; LiteLLM's list
//! has those.
//!
//! A snapshot without an entry of its own (`gpt-4.1-2025-04-14`) is taken to cost what the model does; those known to cost
//! something else (`gpt-4o-2024-05-13`) have entries.

mod builtin;
mod config;
mod cost;
mod info;
mod litellm;
mod name;
mod off_peak;
mod price;
mod prices;
mod rates;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use self::{
    cost::Cost,
    info::{Capabilities, ModelInfo},
    off_peak::{OffPeak, Window},
    price::Price,
    prices::{Above, Currency, Prices, Service},
    rates::Rates,
    table::ModelTable,
};

/// The table in use. Clones share it, and [`set`](Self::set) replaces it for all of them at once.
#[derive(Debug, Clone)]
pub struct ModelCatalog(Arc<ArcSwap<ModelTable>>);

impl ModelCatalog {
    /// A catalog of these models.
    pub fn new(table: ModelTable) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(table)))
    }

    /// A catalog of the models that the crate knows by itself.
    pub fn builtin() -> Self {
        Self(Arc::new(ArcSwap::new(builtin::table())))
    }

    /// What is known of `name`: [`ModelTable::get`] on the table in use.
    pub fn get(&self, name: &str) -> Option<Arc<ModelInfo>> {
        self.0.load().get(name).cloned()
    }

    /// What is known of `name` at `provider`: [`ModelTable::get_at`] on the table in use.
    pub fn get_at(&self, provider: &str, name: &str) -> Option<Arc<ModelInfo>> {
        self.0.load().get_at(provider, name).cloned()
    }

    /// The whole table, for several look-ups that must agree.
    pub fn table(&self) -> Arc<ModelTable> {
        self.0.load_full()
    }

    /// Replaces the table. A look-up sees the old one or the new one, whole.
    pub fn set(&self, table: ModelTable) {
        self.0.store(Arc::new(table));
    }
}

impl Default for ModelCatalog {
    /// The built-in one.
    fn default() -> Self {
        Self::builtin()
    }
}

impl ModelTable {
    /// The models that the crate knows by itself, with list prices of November 2026.
    pub fn builtin() -> Self {
        Self::clone(&builtin::table())
    }
}

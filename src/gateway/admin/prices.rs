use serde_json::{Value, json};

use crate::{
    control::{Acting, Change, Control, ControlError, Parameters},
    gateway::{CatalogConfig, listing::Listing},
};

/// What is known of models, which can be read anew from the files that the configuration names.
#[derive(Debug)]
pub(super) struct Prices {
    pub(super) config: CatalogConfig,
    pub(super) listing: Listing,
}

impl Control for Prices {
    fn kind(&self) -> &'static str {
        "prices"
    }

    fn show(&self) -> Value {
        json!({"models": self.listing.catalog().table().len()})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["reload"]
    }

    fn act<'a>(&'a self, _: &'a str, with: Parameters) -> Acting<'a> {
        let (config, catalog) = (self.config.clone(), self.listing.catalog());
        Box::pin(async move {
            with.none()?;
            let reading = tokio::task::spawn_blocking(move || config.build());
            let read = reading.await;
            let read = read.map_err(|error| ControlError::Failed(error.to_string()))??;
            let old = catalog.table().len();
            catalog.set((*read.table()).clone());
            self.listing.refresh();
            Ok(Change::new(old, catalog.table().len()))
        })
    }
}

use serde_json::{Value, json};

use crate::{
    control::{Acting, Change, Control, ControlError, Parameters},
    gateway::CatalogConfig,
    message::catalog::ModelCatalog,
};

/// What is known of models, which can be read anew from the files that the configuration names.
#[derive(Debug)]
pub(super) struct Prices {
    pub(super) config: CatalogConfig,
    pub(super) catalog: ModelCatalog,
}

impl Control for Prices {
    fn kind(&self) -> &'static str {
        "prices"
    }

    fn show(&self) -> Value {
        json!({"models": self.catalog.table().len()})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["reload"]
    }

    fn act<'a>(&'a self, _: &'a str, with: Parameters) -> Acting<'a> {
        let (config, catalog) = (self.config.clone(), self.catalog.clone());
        Box::pin(async move {
            with.none()?;
            let reading = tokio::task::spawn_blocking(move || config.build());
            let read = reading.await;
            let read = read.map_err(|error| ControlError::Failed(error.to_string()))??;
            let old = catalog.table().len();
            catalog.set((*read.table()).clone());
            Ok(Change::new(old, catalog.table().len()))
        })
    }
}

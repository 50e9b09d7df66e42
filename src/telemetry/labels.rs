//! Names that may stand in a metric's labels.

use std::{collections::HashSet, sync::Arc};

use crate::{
    message::catalog::{ModelCatalog, ModelTable},
    stats::OTHER,
};

/// The models that are counted by their names. All others, which callers may make up, are [`OTHER`].
#[derive(Debug)]
pub(super) struct Labels {
    models: HashSet<Arc<str>>,
    catalog: ModelCatalog,
    other: Arc<str>,
    none: Arc<str>,
}

impl Labels {
    pub(super) fn new(models: impl IntoIterator<Item = Arc<str>>, catalog: ModelCatalog) -> Self {
        let table: Arc<ModelTable> = catalog.table();
        let known = table.iter().map(|model| Arc::from(&*model.id));
        Self {
            models: known.chain(models).collect(),
            catalog,
            other: OTHER.into(),
            none: "none".into(),
        }
    }

    /// The label of a model: its name, the catalog's name for it, or [`OTHER`].
    pub(super) fn model(&self, name: &str) -> Arc<str> {
        if let Some(known) = self.models.get(name) {
            return Arc::clone(known);
        }
        let info = self.catalog.get(name);
        let known = info.and_then(|info| self.models.get(&*info.id).cloned());
        known.unwrap_or_else(|| Arc::clone(&self.other))
    }

    /// The label where no model was asked for, or nobody had to read which.
    pub(super) fn none(&self) -> &Arc<str> {
        &self.none
    }

    #[cfg_attr(
        not(feature = "metrics"),
        allow(dead_code, reason = "a label of metrics")
    )]
    pub(super) fn other(&self) -> &Arc<str> {
        &self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_known_are_labels() {
        let labels = Labels::new(["mine".into()], ModelCatalog::builtin());
        for (name, label) in [
            ("mine", "mine"),
            ("gpt-4.1", "gpt-4.1"),
            ("openai/gpt-4.1-2025-04-14", "gpt-4.1"),
            ("made-up", "other"),
            ("", "other"),
        ] {
            assert_eq!(&*labels.model(name), label, "{name:?}");
        }
    }
}

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Deserialize;
use tower_layer::Layer;

use super::{Aliases, ModelRewrite, Unknown};
use crate::message::ConfigError;

/// Replaces the model that a request asks for by the one that it stands for.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct ModelRewriteLayer {
    shared: Arc<Shared>,
}

/// What a [`ModelRewriteLayer`] replaces; also its configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ModelRewriteBuilder {
    aliases: Aliases,
    unknown: Unknown,
    restore_name: bool,
}

/// Reads and changes the table of a running [`ModelRewriteLayer`].
#[derive(Debug, Clone)]
pub struct ModelRewriteHandle {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) aliases: ArcSwap<Aliases>,
    pub(super) unknown: Unknown,
    pub(super) restore_name: bool,
}

impl ModelRewriteLayer {
    /// A layer with these aliases that passes unknown models on.
    ///
    /// # Errors
    ///
    /// As [`Aliases::new`].
    pub fn new<K, V>(aliases: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        Self::builder().aliases(Aliases::new(aliases)?).build()
    }

    /// Settings to choose before [`build`](ModelRewriteBuilder::build).
    pub fn builder() -> ModelRewriteBuilder {
        ModelRewriteBuilder::default()
    }

    /// What reads and changes the table while requests flow.
    pub fn handle(&self) -> ModelRewriteHandle {
        ModelRewriteHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl ModelRewriteBuilder {
    /// The table of aliases.
    pub fn aliases(mut self, aliases: Aliases) -> Self {
        self.aliases = aliases;
        self
    }

    /// What is done with models that the table does not name: [`Unknown::Pass`] by default.
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// Whether the answer names the model that the caller asked for, in place of the one that served it. Off by default.
    pub fn restore_name(mut self, restore: bool) -> Self {
        self.restore_name = restore;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When the default model is empty.
    pub fn build(self) -> Result<ModelRewriteLayer, ConfigError> {
        if matches!(&self.unknown, Unknown::Default(model) if model.trim().is_empty()) {
            return Err(ConfigError::new("unknown.default", "must name a model"));
        }
        let shared = Shared {
            aliases: ArcSwap::from_pointee(self.aliases),
            unknown: self.unknown,
            restore_name: self.restore_name,
        };
        Ok(ModelRewriteLayer {
            shared: Arc::new(shared),
        })
    }
}

impl ModelRewriteHandle {
    /// Replaces the table: requests from now on see the new one whole.
    pub fn set_aliases(&self, aliases: Aliases) {
        self.shared.aliases.store(Arc::new(aliases));
    }

    /// The table in force.
    pub fn aliases(&self) -> Arc<Aliases> {
        self.shared.aliases.load_full()
    }
}

impl<S> Layer<S> for ModelRewriteLayer {
    type Service = ModelRewrite<S>;

    fn layer(&self, inner: S) -> ModelRewrite<S> {
        ModelRewrite::new(inner, Arc::clone(&self.shared))
    }
}

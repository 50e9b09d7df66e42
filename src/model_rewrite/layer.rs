use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Deserialize;
use tower_layer::Layer;

use super::{Aliases, Checks, ModelRewrite, ParamRule, Unknown, fit::Fit, rule, state::Decision};
use crate::message::{ConfigError, catalog::ModelCatalog};

/// Replaces the model that a request asks for by the one that it stands for, and fits the request to that model.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct ModelRewriteLayer {
    shared: Arc<Shared>,
}

/// What a [`ModelRewriteLayer`] replaces and checks; also its configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ModelRewriteBuilder {
    aliases: Aliases,
    unknown: Unknown,
    restore_name: bool,
    rules: Vec<ParamRule>,
    clamp_output: bool,
    checks: Checks,
    /// As which provider's offer models are looked up.
    provider: Option<Arc<str>>,
    #[serde(skip)]
    catalog: Option<ModelCatalog>,
    #[serde(skip)]
    before: Option<ModelRewriteHandle>,
}

/// Reads and changes the table of a running [`ModelRewriteLayer`].
#[derive(Debug, Clone)]
pub struct ModelRewriteHandle {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) aliases: Arc<ArcSwap<Aliases>>,
    /// As they were set at first.
    set: Aliases,
    pub(super) unknown: Unknown,
    pub(super) restore_name: bool,
    /// `None` where requests go on as they are but for the model's name.
    pub(super) fit: Option<Box<Fit>>,
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

    /// What is done with the parameters of requests for some models. Every rule that matches applies, in the order in which they
    /// were added, each to what the one before has left.
    pub fn rule(mut self, rule: ParamRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Whether a request for more tokens of answer than the model gives, as far as the [`catalog`](Self::catalog) knows, is sent
    /// with what it gives. Off by default. A [`ParamRule::max_output_tokens`] counts in place of the catalog's.
    pub fn clamp_output(mut self, clamp: bool) -> Self {
        self.clamp_output = clamp;
        self
    }

    /// What is held against the [`catalog`](Self::catalog) before a request is sent: nothing by default.
    pub fn checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// What is known of models: [`ModelCatalog::builtin`] by default.
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Whose offer requests go to, such as `groq`: models are then looked up by [`ModelCatalog::get_at`]. Any by default.
    pub fn provider(mut self, provider: impl Into<Arc<str>>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// Has the table of another layer, with what was changed of it, where these aliases are those that it was made with.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(mut self, before: Option<&ModelRewriteHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// What it does beside its aliases, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> impl Iterator<Item = String> {
        let rules = match self.rules.len() {
            0 => None,
            1 => Some("1 rule".to_owned()),
            many => Some(format!("{many} rules")),
        };
        let clamp = self.clamp_output.then(|| "output clamped".to_owned());
        let checks = self.checks.is_on().then(|| "checked".to_owned());
        rules.into_iter().chain(clamp).chain(checks)
    }

    #[cfg(feature = "gateway")]
    pub(crate) fn get_aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When the default model is empty, a rule does nothing or contradicts itself, or a margin is out of range.
    pub fn build(self) -> Result<ModelRewriteLayer, ConfigError> {
        if matches!(&self.unknown, Unknown::Default(model) if model.trim().is_empty()) {
            return Err(ConfigError::new("unknown.default", "must name a model"));
        }
        self.checks.validate()?;
        let rules = rule::compile(self.rules)?;
        let asks = self.clamp_output || self.checks.is_on();
        let fit = (asks || rules.len() > 0).then(|| {
            Box::new(Fit {
                rules,
                clamp_output: self.clamp_output,
                checks: self.checks,
                provider: self.provider,
                catalog: asks.then(|| self.catalog.unwrap_or_default()),
            })
        });
        let before = self.before.map(|before| before.shared);
        let aliases = before.filter(|before| before.set == self.aliases);
        let aliases = aliases.map(|before| Arc::clone(&before.aliases));
        let shared = Shared {
            aliases: aliases
                .unwrap_or_else(|| Arc::new(ArcSwap::from_pointee(self.aliases.clone()))),
            set: self.aliases,
            unknown: self.unknown,
            restore_name: self.restore_name,
            fit,
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

    /// What the table in force makes of `model`, where that is another name.
    #[cfg(feature = "gateway")]
    pub(crate) fn resolve(&self, model: &str) -> Option<String> {
        self.aliases()
            .resolve(model)
            .map(std::borrow::Cow::into_owned)
    }

    /// Whether a request for `model` goes on under that same name.
    pub fn passes(&self, model: &str) -> bool {
        self.shared
            .aliases
            .load()
            .decide(&self.shared.unknown, Some(model))
            == Decision::Pass
    }
}

impl<S> Layer<S> for ModelRewriteLayer {
    type Service = ModelRewrite<S>;

    fn layer(&self, inner: S) -> ModelRewrite<S> {
        ModelRewrite::new(inner, Arc::clone(&self.shared))
    }
}

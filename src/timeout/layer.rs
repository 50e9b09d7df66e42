use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Deserialize;
use tower_layer::Layer;

use super::{Limits, Timeout};
use crate::message::{ByModel, ConfigError, ModelPattern};

/// Ends an attempt that takes too long, by its model.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct TimeoutLayer {
    shared: Arc<Shared>,
}

/// How long a [`TimeoutLayer`] lets attempts take; also its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct TimeoutBuilder {
    limits: Limits,
    models: HashMap<ModelPattern, Limits>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) models: ByModel<Limits>,
}

impl TimeoutLayer {
    /// Settings to choose before [`build`](TimeoutBuilder::build).
    pub fn builder() -> TimeoutBuilder {
        TimeoutBuilder::default()
    }
}

/// Ten minutes to the head, as OpenAI's SDKs wait, and no limit in all.
impl Default for TimeoutBuilder {
    fn default() -> Self {
        Self {
            limits: Limits::none().head(Duration::from_secs(600)),
            models: HashMap::new(),
        }
    }
}

impl TimeoutBuilder {
    /// Guide E's table: the head within 30 s for `deepseek-v3-2` and `gemini-2.5-flash`, 120 s for `claude-sonnet-4.5`, 90 s for
    /// `gpt-4.1`, and 60 s for all others. Nothing in all, so that no long stream is cut.
    pub fn guide_e() -> Self {
        let head = |seconds| Limits::none().head(Duration::from_secs(seconds));
        let mut builder = Self::default().limits(head(60));
        for (model, seconds) in [
            ("deepseek-v3-2", 30),
            ("gemini-2.5-flash", 30),
            ("claude-sonnet-4.5", 120),
            ("gpt-4.1", 90),
        ] {
            if let Ok(model) = model.parse() {
                builder = builder.model(model, head(seconds));
            }
        }
        builder
    }

    /// The limits of models that have none of their own: ten minutes to the head by default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits of one model, or of those that match a pattern, in place of the general ones. An exact name wins over a pattern, and among
    /// patterns the longest literal text.
    pub fn model(mut self, model: ModelPattern, limits: Limits) -> Self {
        self.models.insert(model, limits);
        self
    }

    /// The settings that matter, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let span =
            |name, span: Option<Duration>| span.map(|span| format!("{name} within {span:?}"));
        let head = span("head", self.limits.head_within());
        let total = span("all", self.limits.total_within());
        let apart = self.models.len();
        let apart = (apart > 0).then(|| format!("{apart} models apart"));
        [head, total, apart].into_iter().flatten().collect()
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When a limit is zero.
    pub fn build(self) -> Result<TimeoutLayer, ConfigError> {
        self.limits.check().map_err(|e| e.within("limits"))?;
        for (model, limits) in &self.models {
            let named = |e: ConfigError| e.within(&model.to_string()).within("models");
            limits.check().map_err(named)?;
        }
        Ok(TimeoutLayer {
            shared: Arc::new(Shared {
                limits: self.limits,
                models: ByModel::new(self.models),
            }),
        })
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, Arc::clone(&self.shared))
    }
}

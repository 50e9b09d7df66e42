use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Deserialize;
use tower_layer::Layer;

use super::{AttemptObserverLayer, Telemetry, labels::Labels, provider};
use crate::{
    message::{ConfigError, Served, catalog::ModelCatalog},
    stats::Stats,
    wire::units,
};

/// Spans, metrics and statistics of requests. See the [module](super) for what it records and where it belongs.
#[derive(Debug, Clone)]
pub struct TelemetryLayer {
    shared: Arc<Shared>,
}

/// What a [`TelemetryLayer`] records; also its configuration.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct TelemetryBuilder {
    spans: bool,
    propagate: bool,
    headers: bool,
    contents: bool,
    #[serde(deserialize_with = "units::bytes")]
    max_content: u64,
    models: Vec<Arc<str>>,
    providers: BTreeMap<String, Arc<str>>,
    #[serde(skip)]
    catalog: ModelCatalog,
    #[serde(skip)]
    stats: Stats,
    #[cfg(feature = "metrics")]
    #[serde(skip)]
    recorder: Option<super::metrics::SharedRecorder>,
}

/// What all services of one layer share, and those of its attempts.
pub(super) struct Shared {
    pub(super) spans: bool,
    pub(super) propagate: bool,
    pub(super) headers: bool,
    /// The most bytes of contents that are recorded; 0 for none.
    pub(super) max_content: usize,
    pub(super) labels: Labels,
    pub(super) stats: Stats,
    providers: BTreeMap<String, Arc<str>>,
    #[cfg(feature = "metrics")]
    pub(super) instruments: super::metrics::Instruments,
}

/// The most contents that are recorded of a request or an answer, in bytes.
const MAX_CONTENT: u64 = 64 << 10;

impl TelemetryLayer {
    /// Everything but contents, of the models in the built-in catalog.
    pub fn new() -> Self {
        Self::of(TelemetryBuilder::default())
    }

    /// Settings to choose before [`build`](TelemetryBuilder::build).
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// What observes attempts for the same statistics, metrics and traces: one for each upstream's own stack, below its retries.
    pub fn attempts(&self) -> AttemptObserverLayer {
        AttemptObserverLayer::new(Arc::clone(&self.shared))
    }

    /// The statistics that are kept.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    fn of(builder: TelemetryBuilder) -> Self {
        let max_content = usize::try_from(builder.max_content).unwrap_or(usize::MAX);
        let labels = Labels::new(builder.models, builder.catalog);
        Self {
            shared: Arc::new(Shared {
                spans: builder.spans,
                propagate: builder.propagate,
                headers: builder.headers,
                max_content: if builder.contents { max_content } else { 0 },
                stats: builder.stats,
                providers: builder.providers,
                #[cfg(feature = "metrics")]
                instruments: super::metrics::Instruments::new(
                    builder.recorder,
                    Arc::clone(labels.other()),
                ),
                labels,
            }),
        }
    }
}

impl Default for TelemetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for TelemetryBuilder {
    fn default() -> Self {
        Self {
            spans: true,
            propagate: true,
            headers: true,
            contents: false,
            max_content: 4 << 10,
            models: Vec::new(),
            providers: BTreeMap::new(),
            catalog: ModelCatalog::default(),
            stats: Stats::default(),
            #[cfg(feature = "metrics")]
            recorder: None,
        }
    }
}

impl TelemetryBuilder {
    /// Whether requests and attempts have spans: on by default. They cost nothing where no subscriber wants them.
    pub fn spans(mut self, on: bool) -> Self {
        self.spans = on;
        self
    }

    /// Whether the caller's trace continues at the upstream, by `traceparent`: on by default. Off, upstreams learn of no trace at all.
    pub fn propagate(mut self, on: bool) -> Self {
        self.propagate = on;
        self
    }

    /// Whether answers carry `x-response-time-ms`, `x-relay-upstream` and `x-relay-request-id`: on by default.
    pub fn headers(mut self, on: bool) -> Self {
        self.headers = on;
        self
    }

    /// Whether spans hold what was asked and answered: off by default. It is as confidential as what people write.
    pub fn contents(mut self, on: bool) -> Self {
        self.contents = on;
        self
    }

    /// The most that a span holds of what was asked, and of what was answered, in bytes: 4 KiB by default, 64 KiB at most.
    pub fn max_content(mut self, bytes: u64) -> Self {
        self.max_content = bytes;
        self
    }

    /// More models that metrics name, besides those of the catalog. All others are `other` there.
    pub fn models<T: Into<Arc<str>>>(mut self, models: impl IntoIterator<Item = T>) -> Self {
        self.models.extend(models.into_iter().map(Into::into));
        self
    }

    /// Whose API an upstream is, as OpenTelemetry names it (`openai`, `aws.bedrock`). Told by its host otherwise, and where that says
    /// nothing it is the upstream's name.
    pub fn provider(mut self, upstream: impl Into<String>, name: impl Into<Arc<str>>) -> Self {
        self.providers.insert(upstream.into(), name.into());
        self
    }

    /// The models that metrics name: the built-in catalog's by default.
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// The statistics to keep: those that breakers, splits and dashboards share. Its own by default.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = stats.clone();
        self
    }

    /// Where metrics go: the recorder that is installed for the whole process by default.
    #[cfg(feature = "metrics")]
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn recorder(mut self, recorder: Arc<dyn ::metrics::Recorder + Send + Sync>) -> Self {
        self.recorder = Some(super::metrics::SharedRecorder(recorder));
        self
    }

    /// The settings that matter, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let mut settings = Vec::new();
        for (on, what) in [
            (self.spans, "spans"),
            (self.propagate, "traceparent to the upstreams"),
            (self.headers, "headers on answers"),
        ] {
            if on {
                settings.push(what.to_owned());
            }
        }
        if self.contents {
            settings.push(format!("contents up to {} bytes", self.max_content));
        }
        settings
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When more contents are to be recorded than may be, or none; or a name is empty.
    pub fn build(self) -> Result<TelemetryLayer, ConfigError> {
        if self.max_content == 0 || self.max_content > MAX_CONTENT {
            let reason = "must be from 1 byte to 64 KiB; contents are switched off by `contents`";
            return Err(ConfigError::new("max_content", reason));
        }
        if self.models.iter().any(|model| model.is_empty()) {
            return Err(ConfigError::new("models", "must not have an empty name"));
        }
        if self.providers.values().any(|name| name.is_empty()) {
            return Err(ConfigError::new("providers", "must not have an empty name"));
        }
        Ok(TelemetryLayer::of(self))
    }
}

impl Shared {
    /// Whose API answered.
    pub(super) fn provider<'a>(&'a self, served: &'a Served) -> &'a str {
        if let Some(name) = self.providers.get(&*served.upstream) {
            return name;
        }
        let by_host = served.host.as_deref().and_then(provider::of_host);
        by_host.unwrap_or(&served.upstream)
    }
}

impl fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryBuilder")
            .field("spans", &self.spans)
            .field("propagate", &self.propagate)
            .field("headers", &self.headers)
            .field("contents", &self.contents)
            .field("max_content", &self.max_content)
            .field("models", &self.models)
            .field("providers", &self.providers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("spans", &self.spans)
            .field("propagate", &self.propagate)
            .field("headers", &self.headers)
            .field("max_content", &self.max_content)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TelemetryLayer {
    type Service = Telemetry<S>;

    fn layer(&self, inner: S) -> Telemetry<S> {
        Telemetry::new(inner, Arc::clone(&self.shared))
    }
}

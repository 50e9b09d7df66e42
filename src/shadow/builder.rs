use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{ComparisonSink, JsonlSink, ShadowHandle, ShadowLayer, Similarity, WordOverlap};
use crate::{client::Target, message::ConfigError, wire::units, worker::Worker};

/// What a [`ShadowLayer`] copies, and within which bounds; also its configuration.
///
/// Spans of time deserialize from text such as `"60s"`, and sizes from text such as `"1MiB"`.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ShadowBuilder {
    pub(super) percent: u8,
    pub(super) model: Option<String>,
    pub(super) concurrency: usize,
    #[serde(deserialize_with = "units::duration")]
    pub(super) deadline: Duration,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_body: u64,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_text: u64,
    target: Option<String>,
    file: Option<PathBuf>,
    #[serde(skip)]
    pub(super) sink: Option<Arc<dyn ComparisonSink>>,
    #[serde(skip, default = "word_overlap")]
    pub(super) similarity: Arc<dyn Similarity>,
    #[serde(skip)]
    pub(super) before: Option<ShadowHandle>,
}

fn word_overlap() -> Arc<dyn Similarity> {
    Arc::new(WordOverlap)
}

impl Default for ShadowBuilder {
    fn default() -> Self {
        Self {
            percent: 10,
            model: None,
            concurrency: 64,
            deadline: Duration::from_secs(120),
            max_body: 4 << 20,
            max_text: 256 << 10,
            target: None,
            file: None,
            sink: None,
            similarity: word_overlap(),
            before: None,
        }
    }
}

impl ShadowBuilder {
    /// The share of requests that are copied, in percent, 0 to 100: 10 by default. Which they are hangs on their ids alone.
    pub fn percent(mut self, percent: u8) -> Self {
        self.percent = percent;
        self
    }

    /// The model that copies ask for: the request's own by default.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The most pairs that are under way at a time: 64 by default. Beyond it requests are not copied, which is counted.
    pub fn concurrency(mut self, pairs: usize) -> Self {
        self.concurrency = pairs;
        self
    }

    /// The longest that a copy may take to the end of its answer: two minutes by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The most that is read of a copy's answer, in bytes: 4 MiB by default.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// The most that is kept of each answer until both have ended, to be compared, in bytes: 256 KiB by default. Longer ones are
    /// compared in numbers only.
    pub fn max_text(mut self, bytes: u64) -> Self {
        self.max_text = bytes;
        self
    }

    /// Where comparisons go: nowhere by default.
    pub fn sink(mut self, sink: impl ComparisonSink + 'static) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// The file that comparisons are appended to, as [`JsonlSink`] does, where there is no other [sink](Self::sink). None by default.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// The name of the target, where a configuration file has it.
    #[cfg(feature = "gateway")]
    pub(crate) fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// How alike two texts are: [`WordOverlap`] by default.
    pub fn similarity(mut self, similarity: impl Similarity + 'static) -> Self {
        self.similarity = Arc::new(similarity);
        self
    }

    /// The layer that copies requests to `target`, and the worker that sends them. When its shutdown fires, copies under way are let go of.
    ///
    /// # Errors
    ///
    /// When the share is more than 100, a bound is zero, the model has no name, or the file cannot be opened.
    pub fn build(mut self, target: Target) -> Result<(ShadowLayer, Worker), ConfigError> {
        if self.percent > 100 {
            return Err(ConfigError::new("percent", "must be at most 100"));
        }
        if self
            .model
            .as_deref()
            .is_some_and(|model| model.trim().is_empty())
        {
            return Err(ConfigError::new("model", "must not be empty"));
        }
        for (field, is_zero) in [
            ("concurrency", self.concurrency == 0),
            ("deadline", self.deadline.is_zero()),
            ("max_body", self.max_body == 0),
            ("max_text", self.max_text == 0),
        ] {
            if is_zero {
                return Err(ConfigError::new(field, "must be more than zero"));
            }
        }
        if let (None, Some(path)) = (&self.sink, &self.file) {
            let opened = JsonlSink::open(path).map_err(|error| {
                ConfigError::new("file", format!("{}: {error}", path.display()))
            })?;
            self.sink = Some(Arc::new(opened));
        }
        Ok(ShadowLayer::of(self, target))
    }

    /// The file, which it then has no more.
    #[cfg(feature = "gateway")]
    pub(crate) fn take_file(&mut self) -> Option<PathBuf> {
        self.file.take()
    }

    /// Goes on with the counts of another layer, and with the share that was set at run time, where this is the same that it was made with.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(mut self, before: Option<&ShadowHandle>) -> Self {
        self.before = before.cloned();
        self
    }

    /// What it does, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn describe(&self) -> String {
        let model = self.model.as_deref();
        let model = model.map_or(String::new(), |model| format!(" as {model}"));
        let target = self.target.as_deref().unwrap_or_default();
        format!("{} % to {target}{model}", self.percent)
    }
}

impl fmt::Debug for ShadowBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowBuilder")
            .field("percent", &self.percent)
            .field("model", &self.model)
            .field("concurrency", &self.concurrency)
            .field("deadline", &self.deadline)
            .field("max_body", &self.max_body)
            .field("max_text", &self.max_text)
            .field("target", &self.target)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

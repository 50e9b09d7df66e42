use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Deserialize;
use tower_layer::Layer;

use super::{CommitGuard, Limits, state::Bounds};
use crate::{
    message::{ByModel, ConfigError, Endpoint, HeldCap, ModelPattern, RequestBody},
    wire::units,
};

/// Holds an answer back until it is worth handing on, and ends one that breaks later with an error that says so.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct CommitGuardLayer {
    shared: Arc<Shared>,
}

/// How much a [`CommitGuardLayer`] holds and how long it waits; also its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct CommitGuardBuilder {
    max_events: u32,
    #[serde(deserialize_with = "units::bytes")]
    max_bytes: u64,
    #[serde(deserialize_with = "units::duration")]
    max_time: Duration,
    #[serde(deserialize_with = "units::bytes")]
    max_held: u64,
    limits: Limits,
    models: HashMap<ModelPattern, Limits>,
    comments_count: bool,
    #[serde(deserialize_with = "units::duration")]
    pace_window: Duration,
    #[serde(deserialize_with = "units::duration")]
    pace_grace: Duration,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bounds: Bounds,
    pub(super) held: Arc<HeldCap>,
    pub(super) comments_count: bool,
    pub(super) pace_window: Duration,
    pub(super) pace_grace: Duration,
    limits: Limits,
    models: ByModel<Limits>,
}

impl CommitGuardLayer {
    /// Settings to choose before [`build`](CommitGuardBuilder::build).
    pub fn builder() -> CommitGuardBuilder {
        CommitGuardBuilder::default()
    }

    fn of(builder: CommitGuardBuilder) -> Self {
        Self {
            shared: Arc::new(Shared {
                bounds: Bounds {
                    events: builder.max_events,
                    bytes: builder.max_bytes,
                    time: builder.max_time,
                },
                held: HeldCap::new(builder.max_held),
                comments_count: builder.comments_count,
                pace_window: builder.pace_window,
                pace_grace: builder.pace_grace,
                limits: builder.limits,
                models: ByModel::new(builder.models),
            }),
        }
    }
}

impl Default for CommitGuardLayer {
    /// One with the defaults of [`CommitGuardBuilder`].
    fn default() -> Self {
        Self::of(CommitGuardBuilder::default())
    }
}

/// At most 64 events, 1 MiB and 30 s are held; 30 s of silence, keep-alives aside, end an answer.
impl Default for CommitGuardBuilder {
    fn default() -> Self {
        Self {
            max_events: 64,
            max_bytes: 1 << 20,
            max_time: Duration::from_secs(30),
            max_held: 256 << 20,
            limits: Limits::default(),
            models: HashMap::new(),
            comments_count: true,
            pace_window: Duration::from_secs(10),
            pace_grace: Duration::from_secs(10),
        }
    }
}

impl CommitGuardBuilder {
    /// Guide A: an answer ends after 30 s of silence, and what came before is kept. The default.
    pub fn guide_a() -> Self {
        Self::default()
    }

    /// Guide E's table, as limits on silence: 30 s for `deepseek-v3-2` and `gemini-2.5-flash`, 120 s for `claude-sonnet-4.5`, 90 s for
    /// `gpt-4.1`, and 60 s for all others.
    pub fn guide_e() -> Self {
        let idle = |seconds| Limits::default().idle(Duration::from_secs(seconds));
        let mut builder = Self::default().limits(idle(60));
        for (model, seconds) in [
            ("deepseek-v3-2", 30),
            ("gemini-2.5-flash", 30),
            ("claude-sonnet-4.5", 120),
            ("gpt-4.1", 90),
        ] {
            if let Ok(model) = model.parse() {
                builder = builder.model(model, idle(seconds));
            }
        }
        builder
    }

    /// The most events of a stream that are held without any output, comments aside; then it is handed on: 64 by default.
    pub fn max_events(mut self, events: u32) -> Self {
        self.max_events = events;
        self
    }

    /// The most bytes that are held of one answer, a stream or a JSON body; then it is handed on: 1 MiB by default. Each piece counts
    /// for 128 bytes at least.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long a stream is held that goes on without any output; then it is handed on: 30 s by default. Its caller learns nothing in the
    /// meantime, not even that there is an answer.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// The most bytes that all answers together may hold; past it they are handed on as they are: 256 MiB by default.
    pub fn max_held(mut self, bytes: u64) -> Self {
        self.max_held = bytes;
        self
    }

    /// The limits of models that have none of their own.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits of one model, or of those that match a pattern, in place of the general ones. An exact name wins over a pattern, and
    /// among patterns the longest literal text.
    pub fn model(mut self, model: ModelPattern, limits: Limits) -> Self {
        self.models.insert(model, limits);
        self
    }

    /// Whether comments, by which an upstream says that it is still there, break its silence: they do by default. Anthropic's `ping`
    /// is an event.
    pub fn comments_count(mut self, count: bool) -> Self {
        self.comments_count = count;
        self
    }

    /// The span over which tokens per second are counted, where there is a floor: 10 s by default, 1 s to an hour. Only time spent waiting
    /// for the upstream counts.
    pub fn pace_window(mut self, window: Duration) -> Self {
        self.pace_window = window;
        self
    }

    /// How long a committed stream may be slower than its floor at first: 10 s by default.
    pub fn pace_grace(mut self, grace: Duration) -> Self {
        self.pace_grace = grace;
        self
    }

    /// The settings that matter, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> Vec<String> {
        let Limits {
            idle,
            first_token,
            min_tokens_per_second: floor,
        } = self.limits;
        let apart = self.models.len();
        [
            (!idle.is_zero()).then(|| format!("silence up to {idle:?}")),
            (!first_token.is_zero()).then(|| format!("first token within {first_token:?}")),
            (floor > 0).then(|| format!("{floor} tokens per second at least")),
            (apart > 0).then(|| format!("{apart} models apart")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When a bound is zero, so that nothing would be held, or the window is out of range.
    pub fn build(self) -> Result<CommitGuardLayer, ConfigError> {
        let bounds = [
            ("max_events", self.max_events == 0),
            ("max_bytes", self.max_bytes == 0),
            ("max_time", self.max_time.is_zero()),
            ("max_held", self.max_held == 0),
        ];
        for (field, is_zero) in bounds {
            if is_zero {
                let reason = "must be more than zero: without it nothing is held";
                return Err(ConfigError::new(field, reason));
            }
        }
        let window = Duration::from_secs(1)..=Duration::from_secs(3600);
        if !window.contains(&self.pace_window) {
            return Err(ConfigError::new("pace_window", "must be from 1s to 1h"));
        }
        Ok(CommitGuardLayer::of(self))
    }
}

impl Shared {
    pub(super) fn limits(&self, endpoint: Endpoint, body: &RequestBody) -> Limits {
        // A request is not read for limits that do not depend on it.
        if self.models.is_empty() || !endpoint.reads_json() {
            return self.limits;
        }
        let own = body.model().and_then(|model| self.models.of(&model));
        own.unwrap_or(self.limits)
    }
}

impl<S> Layer<S> for CommitGuardLayer {
    type Service = CommitGuard<S>;

    fn layer(&self, inner: S) -> CommitGuard<S> {
        CommitGuard::new(inner, Arc::clone(&self.shared))
    }
}

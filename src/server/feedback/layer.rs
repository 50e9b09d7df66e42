use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::Request;
use serde::Deserialize;
use tokio::sync::mpsc;
use tower_layer::Layer;

use super::{FeedbackService, state::Scores, worker};
use crate::{
    key::{KeyBy, Missing},
    ledger::Feedback,
    message::{ConfigError, RequestBody},
    stats::Mean,
    worker::Worker,
};

/// Scores that wait to be written at most.
const MAX_WAITING: usize = 1_000;

/// Whom scores are told, equal to itself alone.
#[derive(Clone)]
pub(super) struct Sink(pub(super) Arc<dyn Fn(&Feedback) + Send + Sync>);

impl PartialEq for Sink {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Takes scores of answers, by the ids of their requests.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct FeedbackLayer {
    shared: Arc<Shared>,
}

/// What a [`FeedbackLayer`] takes and remembers; also its configuration.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct FeedbackBuilder {
    path: String,
    remember: usize,
    file: Option<PathBuf>,
    #[serde(skip)]
    sink: Option<Sink>,
}

/// Shows the scores that a [`FeedbackLayer`] has taken, and takes them from code.
#[derive(Debug, Clone)]
pub struct FeedbackHandle {
    shared: Arc<Shared>,
}

/// What was thought of an upstream's answers.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamScore {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The scores, from 0 to 1.
    pub scores: Mean,
}

/// What all services of one layer share.
pub(super) struct Shared {
    pub(super) path: String,
    by: KeyBy,
    hasher: RandomState,
    scores: Mutex<Scores>,
    told: mpsc::Sender<Feedback>,
    dropped: AtomicU64,
}

impl Default for FeedbackBuilder {
    fn default() -> Self {
        Self {
            path: "/v1/feedback".to_owned(),
            remember: 100_000,
            file: None,
            sink: None,
        }
    }
}

impl FeedbackBuilder {
    /// Where scores are posted: `/v1/feedback` by default.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// How many of the latest answers may be scored, and up to as many older ones: 100,000 by default, of some 50 bytes each.
    pub fn remember(mut self, answers: usize) -> Self {
        self.remember = answers;
        self
    }

    /// The file that scores are appended to, a line of JSON each. None by default.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Told of each score, by the worker, on a thread that may block.
    pub fn on_feedback(mut self, told: impl Fn(&Feedback) + Send + Sync + 'static) -> Self {
        self.sink = Some(Sink(Arc::new(told)));
        self
    }

    /// The layer, and the worker that writes the file and tells of scores.
    ///
    /// # Errors
    ///
    /// When the path does not begin with a slash, nothing is to be remembered, or the file cannot be opened.
    pub fn build(self) -> Result<(FeedbackLayer, Worker), ConfigError> {
        if !self.path.starts_with('/') {
            return Err(ConfigError::new("path", "must begin with a slash"));
        }
        if self.remember == 0 {
            return Err(ConfigError::new("remember", "must be more than zero"));
        }
        let file = match &self.file {
            None => None,
            Some(path) => Some(worker::open(path).map_err(|error| {
                ConfigError::new("file", format!("{}: {error}", path.display()))
            })?),
        };
        let (told, scores) = mpsc::channel(MAX_WAITING);
        let worker = Worker::new(|shutdown| worker::run(shutdown, scores, file, self.sink));
        let shared = Shared {
            path: self.path,
            by: KeyBy::api_key().when_missing(Missing::Exempt),
            hasher: RandomState::new(),
            scores: Mutex::new(Scores::new(self.remember)),
            told,
            dropped: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        Ok((FeedbackLayer { shared }, worker))
    }

    /// The file, which it then has no more.
    #[cfg(feature = "gateway")]
    pub(crate) fn take_file(&mut self) -> Option<PathBuf> {
        self.file.take()
    }

    /// What it does, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn describe(&self) -> String {
        match &self.file {
            Some(file) => format!("at {}, kept in {}", self.path, file.display()),
            None => format!("at {}", self.path),
        }
    }
}

impl FeedbackLayer {
    /// Settings to choose before [`build`](FeedbackBuilder::build).
    pub fn builder() -> FeedbackBuilder {
        FeedbackBuilder::default()
    }

    /// What shows the scores, and takes them from code.
    pub fn handle(&self) -> FeedbackHandle {
        FeedbackHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl FeedbackHandle {
    /// The scores of each upstream that has any, by name.
    pub fn scores(&self) -> Vec<UpstreamScore> {
        let scores = self.shared.lock();
        let each = scores
            .by_upstream()
            .map(|(upstream, scores)| UpstreamScore {
                upstream: Arc::clone(upstream),
                scores,
            });
        each.collect()
    }

    /// Takes a score, from 0 to 1, of the answer to the request of this id that came without a key; `None` where none is remembered.
    pub fn post(&self, request_id: &str, score: f64) -> Option<Feedback> {
        self.shared.take("", request_id, score)
    }

    /// Scores that were neither written nor told of, as too many waited or the worker was gone. They count in the [scores](Self::scores).
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// What tells the requests of a caller from those of others: only who asked may say what came of it.
    pub(super) fn caller(&self, request: &Request<RequestBody>) -> String {
        let key = self.by.key_of(request).ok().flatten();
        key.map(|key| key.to_string()).unwrap_or_default()
    }

    pub(super) fn hash(&self, caller: &str, request_id: &str) -> u64 {
        self.hasher.hash_one((caller, request_id))
    }

    /// `upstream` has answered the request of this hash.
    pub(super) fn answered(&self, request: u64, upstream: &Arc<str>) {
        self.lock().answered(request, Arc::clone(upstream));
    }

    pub(super) fn take(&self, caller: &str, request_id: &str, score: f64) -> Option<Feedback> {
        let hash = self.hash(caller, request_id);
        let upstream = self.lock().score(hash, score.clamp(0.0, 1.0))?;
        let feedback = Feedback::new(request_id, upstream, score);
        if self.told.try_send(feedback.clone()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Some(feedback)
    }

    fn lock(&self) -> MutexGuard<'_, Scores> {
        self.scores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for FeedbackLayer {
    type Service = FeedbackService<S>;

    fn layer(&self, inner: S) -> FeedbackService<S> {
        FeedbackService::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for FeedbackBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedbackBuilder")
            .field("path", &self.path)
            .field("remember", &self.remember)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("path", &self.path)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tower_layer::Layer;

use super::{
    Repair, ResponseNormalize, ResponseNormalizeBuilder,
    repairs::{Counters, Repairs},
};

/// Makes the answers of other providers those that OpenAI would have given. See the [module](super).
#[derive(Debug, Clone, Default)]
pub struct ResponseNormalizeLayer {
    shared: Arc<Shared>,
}

/// Reads what a running [`ResponseNormalizeLayer`] has repaired.
#[derive(Debug, Clone)]
pub struct ResponseNormalizeHandle {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) settings: ResponseNormalizeBuilder,
    counters: Counters,
    /// Answers so far, for ids of our own.
    answers: AtomicU64,
}

impl ResponseNormalizeLayer {
    /// One that repairs: see [`ResponseNormalizeBuilder`] for its settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Settings to choose before [`build`](ResponseNormalizeBuilder::build).
    pub fn builder() -> ResponseNormalizeBuilder {
        ResponseNormalizeBuilder::default()
    }

    pub(super) fn from_settings(settings: ResponseNormalizeBuilder) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                ..Shared::default()
            }),
        }
    }

    /// What reads the counters.
    pub fn handle(&self) -> ResponseNormalizeHandle {
        ResponseNormalizeHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl ResponseNormalizeHandle {
    /// How many answers needed each repair since the layer was made; a stream counts once for each.
    pub fn repairs(&self) -> impl Iterator<Item = (Repair, u64)> {
        self.shared.counters.snapshot()
    }
}

impl<S> Layer<S> for ResponseNormalizeLayer {
    type Service = ResponseNormalize<S>;

    fn layer(&self, inner: S) -> ResponseNormalize<S> {
        ResponseNormalize::new(inner, Arc::clone(&self.shared))
    }
}

impl Shared {
    pub(super) fn count(&self, repairs: Repairs) {
        self.counters.count(repairs);
        for repair in repairs.iter() {
            tracing::debug!(%repair, "an answer was not OpenAI's");
        }
    }

    /// The number of the next answer.
    pub(super) fn number(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed)
    }
}

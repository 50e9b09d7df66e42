use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Request;
use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::{
    CacheBuilder, CacheHandle, CacheKey, CacheService, CacheStore, Cacheable, Entry,
    directives::Directives, flights::Flights, handle::Counters, key::KeyParts, state::Lifetimes,
};
use crate::{
    key::{Key, KeyBy},
    message::{ApiError, Endpoint, HeldCap, ModelPattern, RequestBody, Shadowed},
};

/// Answers again what was answered before.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct CacheLayer {
    shared: Arc<Shared>,
}

/// What the builder has checked.
#[derive(Debug)]
pub(super) struct Settings {
    /// `None` where answers are shared among all.
    pub(super) by: Option<KeyBy>,
    pub(super) requests: Cacheable,
    pub(super) models: Box<[ModelPattern]>,
    pub(super) lifetimes: Lifetimes,
    pub(super) tool_calls: bool,
    pub(super) max_answer: usize,
    pub(super) max_request: usize,
    pub(super) max_in_flight: u64,
    pub(super) max_followers: usize,
    pub(super) max_refreshes: usize,
    pub(super) pace: Duration,
    pub(super) store_timeout: Duration,
    pub(super) parts: KeyParts,
    pub(super) store: Arc<dyn CacheStore>,
}

/// What all services of one layer share.
pub(super) struct Shared {
    settings: Settings,
    pub(super) flights: Flights,
    pub(super) held: Arc<HeldCap>,
    /// Tasks that may ask for new answers.
    pub(super) refreshes: Arc<Semaphore>,
    pub(super) counters: Counters,
    /// How often something was purged.
    purges: AtomicU64,
}

impl std::ops::Deref for Shared {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl CacheLayer {
    /// Settings to choose before [`build`](CacheBuilder::build).
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                flights: Flights::default(),
                held: HeldCap::new(settings.max_in_flight),
                refreshes: Arc::new(Semaphore::new(
                    settings.max_refreshes.min(Semaphore::MAX_PERMITS),
                )),
                counters: Counters::default(),
                purges: AtomicU64::new(0),
                settings,
            }),
        }
    }

    /// What purges and counts while requests flow.
    pub fn handle(&self) -> CacheHandle {
        CacheHandle::new(Arc::clone(&self.shared))
    }
}

impl Shared {
    /// What a request is kept under, and what its caller says of that; `None` where it is none for the cache.
    ///
    /// # Errors
    ///
    /// What the caller is to be told where the tenant must be told and is not.
    pub(super) fn ask(
        &self,
        request: &Request<RequestBody>,
    ) -> Result<Option<(CacheKey, Directives)>, ApiError> {
        let endpoint = Endpoint::of(request);
        if !endpoint.reads_json()
            || request.extensions().get::<Shadowed>().is_some()
            || request
                .body()
                .as_bytes()
                .is_none_or(|body| body.len() > self.max_request)
            || !self.requests.admits(request, endpoint)
        {
            return Ok(None);
        }
        let directives = Directives::of(request.headers());
        if directives.no_store || !self.serves_model(request) {
            return Ok(None);
        }
        Ok(self.key_of(request)?.map(|key| (key, directives)))
    }

    /// What the answer to `request` is kept under; `None` where it belongs to nobody, or cannot be read.
    pub(super) fn key_of(
        &self,
        request: &Request<RequestBody>,
    ) -> Result<Option<CacheKey>, ApiError> {
        let scope = match &self.by {
            None => Some(Key::GLOBAL),
            Some(by) => by.key_of(request)?,
        };
        Ok(scope.and_then(|scope| self.parts.key_of(request, scope)))
    }

    fn serves_model(&self, request: &Request<RequestBody>) -> bool {
        self.models.is_empty()
            || request
                .body()
                .model()
                .is_some_and(|model| self.models.iter().any(|pattern| pattern.matches(&model)))
    }

    pub(super) fn keep(&self, key: &CacheKey, entry: Entry) {
        self.counters.kept.add(1);
        self.store.put(key, entry, self.lifetimes.longest());
    }

    /// Grows with each purge: what began before one is not kept after it.
    pub(super) fn epoch(&self) -> u64 {
        self.purges.load(Ordering::Acquire)
    }

    pub(super) fn purged(&self) {
        self.purges.fetch_add(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .field("flights", &self.flights)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, Arc::clone(&self.shared))
    }
}

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{CacheStore, Cacheable};
use crate::{key::KeyBy, message::ModelPattern, wire::units};

/// Which answers a [`CacheLayer`](super::CacheLayer) keeps, for whom and for how long; also its configuration.
///
/// Spans of time deserialize from text such as `"10m"`, and sizes from text such as `"64MiB"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct CacheBuilder {
    pub(super) scope: CacheScope,
    pub(super) requests: Cacheable,
    pub(super) models: Vec<ModelPattern>,
    #[serde(deserialize_with = "units::duration")]
    pub(super) ttl: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) stale_while_revalidate: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) stale_if_error: Duration,
    pub(super) tool_calls: bool,
    pub(super) cross_replay: bool,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_memory: u64,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_answer: u64,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_request: u64,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_in_flight: u64,
    pub(super) max_followers: usize,
    pub(super) max_refreshes: usize,
    #[serde(deserialize_with = "units::duration")]
    pub(super) pace: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) store_timeout: Duration,
    pub(super) namespace: String,
    #[serde(deserialize_with = "header_names")]
    pub(super) vary: Vec<HeaderName>,
    pub(super) ignore: Vec<String>,
    #[serde(rename = "store")]
    pub(super) place: Place,
    #[serde(skip)]
    pub(super) by: Option<KeyBy>,
    #[serde(skip)]
    pub(super) store: Option<OwnStore>,
}

/// A store that was given, equal to itself alone.
#[derive(Debug, Clone)]
pub(super) struct OwnStore(pub(super) Arc<dyn CacheStore>);

impl PartialEq for OwnStore {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Where a configuration file has answers kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    #[default]
    Memory,
    /// What replicas share, which is named elsewhere.
    Redis,
}

/// Among whom answers are shared.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// Each tenant has answers of its own. Who that is, is told by [`CacheBuilder::by`]; a request that does not tell is not answered from
    /// the cache.
    #[default]
    Tenant,
    /// Whoever asks may get what anybody was answered: one caller's question can be told by another from how fast it is answered, and its
    /// answer read.
    Shared,
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self {
            scope: CacheScope::default(),
            requests: Cacheable::default(),
            models: Vec::new(),
            ttl: Duration::from_secs(3600),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            tool_calls: false,
            cross_replay: false,
            max_memory: 128 << 20,
            max_answer: 4 << 20,
            max_request: 1 << 20,
            max_in_flight: 64 << 20,
            max_followers: 10_000,
            max_refreshes: 64,
            pace: Duration::ZERO,
            store_timeout: Duration::from_millis(100),
            namespace: String::new(),
            vary: Vec::new(),
            ignore: Vec::new(),
            place: Place::default(),
            by: None,
            store: None,
        }
    }
}

impl CacheBuilder {
    /// Among whom answers are shared: within each tenant by default.
    pub fn scope(mut self, scope: CacheScope) -> Self {
        self.scope = scope;
        self
    }

    /// Who a tenant is: the [API key](KeyBy::api_key) that the caller presents, by default. With an auth layer before, take what it left in
    /// the request's extensions. A request without it is not answered from the cache, unless it is told [otherwise](KeyBy::when_missing).
    pub fn by(mut self, by: KeyBy) -> Self {
        self.by = Some(by);
        self
    }

    /// Which requests are answered from the cache: [`Cacheable::Deterministic`] by default.
    pub fn requests(mut self, requests: Cacheable) -> Self {
        self.requests = requests;
        self
    }

    /// Answers requests for these models only: all by default.
    pub fn models(mut self, models: impl IntoIterator<Item = ModelPattern>) -> Self {
        self.models = models.into_iter().collect();
        self
    }

    /// How long an answer is fresh: an hour by default.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// For how long after that an old answer is given at once, while a task asks for a new one: not at all by default.
    pub fn stale_while_revalidate(mut self, span: Duration) -> Self {
        self.stale_while_revalidate = span;
        self
    }

    /// For how long after its freshness an answer is given in place of an upstream's failure: not at all by default.
    pub fn stale_if_error(mut self, span: Duration) -> Self {
        self.stale_if_error = span;
        self
    }

    /// Whether answers that call tools are kept: no by default.
    pub fn tool_calls(mut self, keep: bool) -> Self {
        self.tool_calls = keep;
        self
    }

    /// Whether a stream that is kept answers a chat request for a whole answer, and the other way round: no by default. The one is made of
    /// the other as OpenAI would have sent it, with the same texts, calls and usage; every stream is then asked to end with its usage, which
    /// callers who did not ask for it do not see.
    pub fn cross_replay(mut self, cross: bool) -> Self {
        self.cross_replay = cross;
        self
    }

    /// The most that all answers together take in the memory of this process, in bytes: 128 MiB by default. Of no account with another
    /// [store](Self::store).
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = bytes;
        self
    }

    /// The longest answer that is kept, and the most that is held of one for those who wait for it together, in bytes: 4 MiB by default.
    pub fn max_answer(mut self, bytes: u64) -> Self {
        self.max_answer = bytes;
        self
    }

    /// The longest request that is looked at, in bytes: 1 MiB by default.
    pub fn max_request(mut self, bytes: u64) -> Self {
        self.max_request = bytes;
        self
    }

    /// The most that is held of all answers under way together, in bytes: 64 MiB by default. Answers that find no room are passed on, but not
    /// kept.
    pub fn max_in_flight(mut self, bytes: u64) -> Self {
        self.max_in_flight = bytes;
        self
    }

    /// How many requests at most wait for the answer of another that asks for the same: 10,000 by default; 0 for each to ask for itself. Those
    /// beyond ask for themselves.
    pub fn max_followers(mut self, requests: usize) -> Self {
        self.max_followers = requests;
        self
    }

    /// How many tasks at most ask for new answers in place of old ones: 64 by default.
    pub fn max_refreshes(mut self, tasks: usize) -> Self {
        self.max_refreshes = tasks;
        self
    }

    /// The time between the pieces of a stream that is played again: none by default, all at once.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// How long the store is waited for: 100 ms by default. Then the answer is asked for.
    pub fn store_timeout(mut self, at_most: Duration) -> Self {
        self.store_timeout = at_most;
        self
    }

    /// What keeps the answers of one set of upstreams apart from another's in a store that they share: empty by default. Change it when what
    /// stands below the layer changes.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = name.into();
        self
    }

    /// Headers that decide the answer, besides those that providers are known to read.
    pub fn vary(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.vary = headers.into_iter().collect();
        self
    }

    /// Members of the request's body that do not decide the answer, by their names at the top level, such as `user` or `metadata`: none by
    /// default.
    pub fn ignore<T: Into<String>>(mut self, members: impl IntoIterator<Item = T>) -> Self {
        self.ignore = members.into_iter().map(Into::into).collect();
        self
    }

    /// Where answers are kept: a [`MemoryStore`](super::MemoryStore) by default.
    pub fn store(mut self, store: Arc<dyn CacheStore>) -> Self {
        self.store = Some(OwnStore(store));
        self
    }

    /// Whether a configuration file has answers kept where replicas share them.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_in_redis(&self) -> bool {
        self.place == Place::Redis
    }

    /// The [namespace](Self::namespace), unless there is one.
    #[cfg(feature = "gateway")]
    pub(crate) fn default_namespace(mut self, name: impl FnOnce() -> String) -> Self {
        if self.namespace.is_empty() {
            self.namespace = name();
        }
        self
    }
}

fn header_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<HeaderName>, D::Error> {
    Vec::<String>::deserialize(from)?
        .into_iter()
        .map(|name| {
            HeaderName::try_from(name.as_str())
                .map_err(|_| D::Error::custom(format!("{name:?} is no name of a header")))
        })
        .collect()
}

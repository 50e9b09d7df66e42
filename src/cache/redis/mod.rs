//! Answers that replicas share.

mod value;
mod worker;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Client, Pipeline, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
};
use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{CacheKey, CacheStore, Entry, Purge};
use crate::{
    message::{ConfigError, HeldCap},
    reserve::{Answer, Breaker, RedisBuilder},
    worker::Worker,
};

use worker::Job;

/// How long the server may take where no request waits for it, and to accept a connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a purge may take, which looks at every key.
const PURGE_PATIENCE: Duration = Duration::from_secs(60);
/// Answers that may wait to be written, and their bytes.
const MAX_QUEUED: usize = 4096;
const MAX_QUEUED_BYTES: u64 = 64 << 20;

/// Keeps answers in Redis or Valkey, compressed, for all replicas: each under a key of its own, which expires.
///
/// A request waits for the server no longer than [`RedisBuilder::timeout`]; while it fails it is left alone, as
/// [`RedisBuilder::breaker`] says, and every request is a miss. Writes are left to the [`Worker`]: what finds no room in its queue is not kept.
///
/// Purges by scope or model go through all keys of one server (`SCAN`). On a cluster, where keys are on several, they reach one of them only.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    queued: Arc<HeldCap>,
}

pub(super) struct Shared {
    client: Client,
    connection: ArcSwapOption<ConnectionManager>,
    prefix: Box<str>,
    timeout: Duration,
    breaker: Breaker,
    /// How often something was purged: what was to be written before is not any more.
    purges: AtomicU64,
}

impl RedisStore {
    /// A store at the server that `redis` names, with its prefix, timeout and breaker; what it says of limits is of no account here. Nothing
    /// is connected yet.
    ///
    /// # Errors
    ///
    /// As [`RedisBuilder::build`].
    pub fn new(redis: &RedisBuilder) -> Result<(Self, Worker), ConfigError> {
        Self::with_env(redis, &|name| std::env::var(name).ok())
    }

    /// The same, with `env` in place of the environment's variables.
    ///
    /// # Errors
    ///
    /// As [`RedisBuilder::build`].
    pub fn with_env(
        redis: &RedisBuilder,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Worker), ConfigError> {
        let link = redis.link(env)?;
        let shared = Arc::new(Shared {
            client: link.client,
            connection: ArcSwapOption::empty(),
            prefix: link.prefix.into(),
            timeout: link.timeout,
            breaker: link.breaker,
            purges: AtomicU64::new(0),
        });
        let (jobs, queue) = mpsc::channel(MAX_QUEUED);
        let working = Arc::clone(&shared);
        let worker = Worker::new(|shutdown| worker::run(working, queue, shutdown));
        let store = Self {
            shared,
            jobs,
            queued: HeldCap::new(MAX_QUEUED_BYTES),
        };
        Ok((store, worker))
    }
}

impl CacheStore for RedisStore {
    fn get(&self, key: &CacheKey) -> Answer<Option<Entry>> {
        if !self.shared.breaker.admits() {
            return Answer::now(None);
        }
        let shared = Arc::clone(&self.shared);
        let key = shared.name_of(key);
        Answer::Later(Box::pin(async move {
            let waiting = Waiting::new(&shared);
            let asked = timeout(shared.timeout, shared.read(&key)).await;
            waiting.end();
            let (value, left) = shared.noted(asked.ok())?;
            value::decode(&value?, Duration::from_millis(u64::try_from(left).ok()?))
        }))
    }

    fn put(&self, key: &CacheKey, entry: Entry, keep: Duration) {
        let mut held = self.queued.hold();
        if !held.grow(entry.weight()) {
            return;
        }
        let job = Job {
            key: self.shared.name_of(key),
            entry,
            keep,
            epoch: self.shared.epoch(),
            _held: held,
        };
        if self.jobs.try_send(job).is_err() {
            tracing::debug!("an answer is not kept: too many wait to be written");
        }
    }

    fn purge(&self, purge: &Purge) -> Answer<()> {
        let shared = Arc::clone(&self.shared);
        shared.purges.fetch_add(1, Ordering::AcqRel);
        let pattern = match purge {
            Purge::All => shared.pattern("*", "*"),
            Purge::Scope(scope) => shared.pattern(&tag(&scope.to_string()), "*"),
            Purge::Model(model) => shared.pattern("*", &tag(model)),
            Purge::Key(key) => {
                let key = shared.name_of(key);
                return Answer::Later(Box::pin(async move {
                    let taken = timeout(PATIENCE, shared.unlink(&[key])).await;
                    shared.noted(taken.ok());
                }));
            }
        };
        Answer::Later(Box::pin(async move {
            let until = Instant::now() + PURGE_PATIENCE;
            let taken = timeout_at(until, shared.unlink_all(&pattern)).await;
            if shared.noted(taken.ok()).is_none() {
                tracing::error!("the cache's store was not purged: its server does not answer");
            }
        }))
    }
}

impl Shared {
    async fn read(&self, key: &str) -> RedisResult<(Option<Vec<u8>>, i64)> {
        let mut both = Pipeline::with_capacity(2);
        both.get(key).pttl(key);
        both.query_async(&mut self.connection()?).await
    }

    async fn unlink(&self, keys: &[String]) -> RedisResult<()> {
        cmd("UNLINK")
            .arg(keys)
            .exec_async(&mut self.connection()?)
            .await
    }

    async fn unlink_all(&self, pattern: &str) -> RedisResult<()> {
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(1000);
            let (next, keys): (u64, Vec<String>) =
                scan.query_async(&mut self.connection()?).await?;
            if !keys.is_empty() {
                self.unlink(&keys).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn name_of(&self, key: &CacheKey) -> String {
        let (scope, model) = (tag(&key.scope().to_string()), tag(key.model()));
        format!("{}:cache:{scope}:{model}:{key}", self.prefix)
    }

    fn pattern(&self, scope: &str, model: &str) -> String {
        let prefix: String = self
            .prefix
            .chars()
            .flat_map(|char| {
                let is_special = matches!(char, '*' | '?' | '[' | ']' | '\\' | '^');
                is_special.then_some('\\').into_iter().chain([char])
            })
            .collect();
        format!("{prefix}:cache:{scope}:{model}:*")
    }

    fn epoch(&self) -> u64 {
        self.purges.load(Ordering::Acquire)
    }

    /// Has the breaker take note of what came of a call; `None` where it took too long.
    fn noted<T>(&self, answered: Option<RedisResult<T>>) -> Option<T> {
        let error = match answered {
            Some(Ok(answer)) => {
                self.breaker.succeeded();
                return Some(answer);
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        if self.breaker.failed() {
            let error = error.as_ref().map(tracing::field::display);
            tracing::warn!(
                error,
                "the cache's store does not answer, and is left alone"
            );
            // It may be a connection whose other end is gone: the next one is new.
            self.connection.store(None);
        }
        None
    }

    /// Made when it is needed first: making it takes a runtime.
    fn connection(&self) -> RedisResult<ConnectionManager> {
        if let Some(connection) = &*self.connection.load() {
            return Ok(ConnectionManager::clone(connection));
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        let connection = self.client.get_connection_manager_lazy(config)?;
        self.connection.store(Some(Arc::new(connection.clone())));
        Ok(connection)
    }
}

/// A request that waits for the server. One that is let go of only after long says that the server is slow: whoever waits may have less
/// patience than is set here.
struct Waiting<'a> {
    shared: &'a Shared,
    since: Option<Instant>,
}

impl<'a> Waiting<'a> {
    const LONG: Duration = Duration::from_millis(50);

    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            since: Some(Instant::now()),
        }
    }

    fn end(mut self) {
        self.since = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self
            .since
            .is_some_and(|since| since.elapsed() >= Self::LONG)
        {
            self.shared.breaker.failed();
        }
    }
}

/// What stands for a scope or a model in a key: the first 8 bytes of its SHA-256, in hexadecimal.
fn tag(name: &str) -> String {
    let digest = Sha256::digest(name);
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the client, whose address may hold a password.
        f.debug_struct("RedisStore")
            .field("prefix", &self.shared.prefix)
            .field("timeout", &self.shared.timeout)
            .field("breaker", &self.shared.breaker)
            .finish_non_exhaustive()
    }
}

use std::{env, fmt, sync::Arc, time::Duration};

use ::redis::Client;
use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc};

use super::{RedisLimiter, breaker::Breaker, store::Store, worker};
use crate::{message::ConfigError, reserve::LocalLimiter, wire::units, worker::Worker};

/// Where a [`RedisLimiter`] keeps its buckets, and what it does when it cannot; also its configuration.
///
/// Spans of time deserialize from text such as `"50ms"`.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct RedisBuilder {
    url: Address,
    prefix: String,
    #[serde(deserialize_with = "units::duration")]
    timeout: Duration,
    on_failure: OnStoreFailure,
    replicas: u64,
    failures: u32,
    #[serde(deserialize_with = "units::duration")]
    open_for: Duration,
    queue: usize,
    max_keys: usize,
}

/// Where the server is. Not shown: it may hold a password.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the URL of a server, or { env = \"NAME\" }"
)]
enum Address {
    Url(String),
    Env { env: String },
}

/// What becomes of reservations while the server does not answer.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreFailure {
    /// Each replica keeps within its share by itself: the limits divided by the [number of replicas](RedisBuilder::replicas), from full
    /// buckets. What is larger than a share is refused.
    #[default]
    Local,
    /// All are admitted, and count nowhere.
    FailOpen,
    /// All are refused.
    FailClosed,
}

impl Default for RedisBuilder {
    fn default() -> Self {
        Self {
            url: Address::Url(String::new()),
            prefix: "tower-relay".to_owned(),
            timeout: Duration::from_millis(50),
            on_failure: OnStoreFailure::default(),
            replicas: 1,
            failures: 5,
            open_for: Duration::from_secs(1),
            queue: 10_000,
            max_keys: LocalLimiter::MAX_KEYS,
        }
    }
}

impl RedisBuilder {
    /// A server: `redis://[user][:password@]host[:port][/db]`, `valkey://...`, or `unix:///path`. `rediss://` needs the feature
    /// `tokio-rustls-comp` of the crate `redis`, which is yours to turn on.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Address::Url(url.into()),
            ..Self::default()
        }
    }

    /// The same with another server.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Address::Url(url.into());
        self
    }

    /// A server whose URL is in an environment variable, because it holds a password; deserializes from `url = { env = "NAME" }`.
    pub fn url_in_env(mut self, name: impl Into<String>) -> Self {
        self.url = Address::Env { env: name.into() };
        self
    }

    /// What its keys begin with: `tower-relay` by default. Replicas that share limits have the same.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// With keys of its own among those of this one.
    #[cfg(feature = "gateway")]
    pub(crate) fn under(mut self, name: &str) -> Self {
        // Braces mean something to a cluster.
        let name = name.replace(['{', '}'], "_");
        self.prefix = format!("{}:{name}", self.prefix);
        self
    }

    /// How long a request waits for the server: 50 ms by default.
    pub fn timeout(mut self, at_most: Duration) -> Self {
        self.timeout = at_most;
        self
    }

    /// What becomes of requests for which it does not answer: [`OnStoreFailure::Local`] by default.
    pub fn on_failure(mut self, policy: OnStoreFailure) -> Self {
        self.on_failure = policy;
        self
    }

    /// How many replicas share the limits, for [`OnStoreFailure::Local`]: 1 by default.
    pub fn replicas(mut self, replicas: u64) -> Self {
        self.replicas = replicas;
        self
    }

    /// How many calls in a row must fail until the server is left alone, and for how long: 5 and a second by default. Then one call
    /// finds out.
    pub fn breaker(mut self, failures: u32, open_for: Duration) -> Self {
        self.failures = failures;
        self.open_for = open_for;
        self
    }

    /// How many settlements may wait to be told: 10,000 by default, of some 200 bytes each. Those that find no room are
    /// [counted](super::RedisHandle::unsettled) and lost.
    pub fn queue(mut self, settlements: usize) -> Self {
        self.queue = settlements;
        self
    }

    /// How many keys have buckets of their own in what stands in for the server: 100,000 by default.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// How many replicas share the limits.
    #[cfg(feature = "gateway")]
    pub(crate) fn replica_count(&self) -> u64 {
        self.replicas
    }

    /// Where and how in words, without user and password: what `--check` prints.
    #[cfg(feature = "gateway")]
    pub(crate) fn describe(&self) -> String {
        let place = match &self.url {
            Address::Env { env } => format!("at the environment's {env}"),
            Address::Url(url) => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
                let place = rest.split_once('?').map_or(rest, |(place, _)| place);
                format!("at {}", place.trim_end_matches('/'))
            }
        };
        let failure = match self.on_failure {
            OnStoreFailure::Local => format!("a share of 1 in {} by itself", self.replicas),
            OnStoreFailure::FailOpen => "everything passes".to_owned(),
            OnStoreFailure::FailClosed => "nothing passes".to_owned(),
        };
        format!(
            "{place}, after {:?} without an answer {failure}",
            self.timeout
        )
    }

    /// The server's URL, which is not to be shown.
    pub(crate) fn address(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, ConfigError> {
        match &self.url {
            Address::Url(url) => Ok(url.clone()),
            Address::Env { env: name } => env(name).ok_or_else(|| {
                let reason = format!("the environment variable {name} is not set");
                ConfigError::new("url.env", reason)
            }),
        }
    }

    /// The store, and what settles. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the URL is none, its environment variable is not set, the prefix has braces, or a number is zero.
    pub fn build(self) -> Result<(RedisLimiter, Worker), ConfigError> {
        self.build_with_env(&|name| env::var(name).ok())
    }

    /// The same, with `env` in place of the environment's variables.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_env(
        self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(RedisLimiter, Worker), ConfigError> {
        let client = self.client(env)?;
        for (field, is_zero) in [
            ("timeout", self.timeout.is_zero()),
            ("replicas", self.replicas == 0),
            ("failures", self.failures == 0),
            ("open_for", self.open_for.is_zero()),
            ("queue", self.queue == 0),
            ("max_keys", self.max_keys == 0),
        ] {
            if is_zero {
                return Err(ConfigError::new(field, "must be more than zero"));
            }
        }
        if self.queue > Semaphore::MAX_PERMITS {
            return Err(ConfigError::new("queue", "is too large"));
        }
        let (jobs, queued) = mpsc::channel(self.queue);
        let breaker = Breaker::new(self.failures, self.open_for);
        let store = Store::new(client, self.timeout, breaker, jobs);
        let store = Arc::new(store);
        let working = Arc::clone(&store);
        let worker = Worker::new(|shutdown| worker::run(working, queued, shutdown));
        let limiter = RedisLimiter {
            store,
            stand_in: Arc::new(LocalLimiter::new(self.max_keys)),
            prefix: self.prefix.into(),
            scope: "limits".into(),
            on_failure: self.on_failure,
            replicas: self.replicas,
        };
        Ok((limiter, worker))
    }

    /// A client of the server, once what concerns every use of it is checked.
    fn client(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Client, ConfigError> {
        let url = self.address(env)?;
        let client = Client::open(url.trim()).map_err(|error| {
            // Not the URL itself: it may hold a password.
            ConfigError::new("url", format!("is not the URL of a server: {error}"))
        })?;
        if self.prefix.contains(['{', '}']) {
            let reason = "must not have braces: they would be the hash tag of all keys";
            return Err(ConfigError::new("prefix", reason));
        }
        Ok(client)
    }

    /// What it takes to keep something else at the same server.
    #[cfg(feature = "cache")]
    pub(crate) fn link(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Link, ConfigError> {
        for (field, is_zero) in [
            ("timeout", self.timeout.is_zero()),
            ("failures", self.failures == 0),
            ("open_for", self.open_for.is_zero()),
        ] {
            if is_zero {
                return Err(ConfigError::new(field, "must be more than zero"));
            }
        }
        Ok(Link {
            client: self.client(env)?,
            prefix: self.prefix.clone(),
            timeout: self.timeout,
            breaker: Breaker::new(self.failures, self.open_for),
        })
    }
}

/// A server, and when it is left alone.
#[cfg(feature = "cache")]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) prefix: String,
    pub(crate) timeout: Duration,
    pub(crate) breaker: Breaker,
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the URL, which may hold a password.
        f.debug_struct("RedisBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("on_failure", &self.on_failure)
            .field("replicas", &self.replicas)
            .field("failures", &self.failures)
            .field("open_for", &self.open_for)
            .field("queue", &self.queue)
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

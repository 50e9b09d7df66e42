mod outage;
mod same;
mod sharing;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::*;
use crate::{
    key::Key,
    reserve::Reservation,
    testing::redis_server::Server,
    worker::{ShutdownHandle, Worker},
};

/// A limiter with its worker running, which ends with it.
struct Replica {
    limiter: RedisLimiter,
    worker: tokio::task::JoinHandle<()>,
    shutdown: ShutdownHandle,
}

impl Replica {
    fn of(builder: RedisBuilder) -> Self {
        let (limiter, worker) = builder.build().unwrap();
        let shutdown = Worker::shutdown_handle(&worker);
        let worker = tokio::spawn(worker);
        Self {
            limiter,
            worker,
            shutdown,
        }
    }

    /// One that has time: what is tested is not how busy this machine is.
    fn at(server: &Server) -> Self {
        Self::of(RedisLimiter::builder(server.url()).timeout(Duration::from_secs(10)))
    }

    async fn reserve(
        &self,
        name: &str,
        quota: &Quota,
        tokens: u64,
    ) -> Result<Reservation, Verdict> {
        let amounts = tokens_of(tokens);
        let decision = self.limiter.reserve(&account(name), quota, amounts).await;
        if !decision.is_admitted() {
            return Err(decision.verdict);
        }
        let limiter = Arc::new(self.limiter.clone());
        let (account, quota) = (account(name), quota.clone());
        Ok(Reservation::new(
            limiter,
            account,
            quota,
            amounts,
            decision.place,
        ))
    }

    async fn used(&self, name: &str, quota: &Quota) -> Vec<u64> {
        let levels = self.limiter.levels(&account(name), quota).await;
        levels.of(quota).map(|level| level.used).collect()
    }

    /// Lets the worker finish.
    async fn settled(self) {
        self.shutdown.shutdown();
        timeout(Duration::from_secs(20), self.worker)
            .await
            .unwrap()
            .unwrap();
    }
}

fn account(name: &str) -> Account {
    Account::new(Key::named("test", name))
}

fn tokens_of(amount: u64) -> Amounts {
    Amounts::request().with_tokens(amount, 0)
}

/// So slow that nothing flows back while a test runs.
fn slow(requests: u64, tokens: u64) -> Quota {
    use crate::reserve::{Dimension, Limit};
    let limit = |dimension, burst| {
        Limit::new(dimension, 1, Duration::from_secs(31_000_000)).with_burst(burst)
    };
    Quota::new([
        limit(Dimension::Requests, requests),
        limit(Dimension::Tokens, tokens),
    ])
    .unwrap()
}

#[test]
fn what_cannot_work_says_why() {
    let build = |builder: RedisBuilder| builder.build().unwrap_err().to_string();
    let at = || RedisLimiter::builder("redis://127.0.0.1/");
    assert!(
        build(RedisLimiter::builder("http://x")).starts_with("url: is not the URL of a server")
    );
    let secret = build(RedisLimiter::builder("redis://u:secret@host:notaport/"));
    assert!(!secret.contains("secret"), "{secret}");
    assert!(!format!("{:?}", RedisLimiter::builder("redis://u:secret@host")).contains("secret"));
    assert!(build(at().prefix("a{b}")).starts_with("prefix: must not have braces"));
    assert_eq!(
        build(at().timeout(Duration::ZERO)),
        "timeout: must be more than zero"
    );
    assert_eq!(build(at().replicas(0)), "replicas: must be more than zero");
    assert_eq!(build(at().queue(usize::MAX)), "queue: is too large");
    let (limiter, _) = at().build().unwrap();
    assert!(!format!("{limiter:?}").contains("127.0.0.1"));
}

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use super::{ANSWER, CHAT, EVENTS, Relay, STREAMED, events, json, request};
use crate::{
    cache::{CacheLayer, Purge, RedisStore},
    reserve::RedisBuilder,
    testing::redis_server::Server,
    worker::ShutdownHandle,
};

/// One of several relays that share a server.
struct Replica {
    relay: Relay,
    shutdown: ShutdownHandle,
    worker: JoinHandle<()>,
}

impl Replica {
    fn at(url: &str, answer: fn() -> http::Response<crate::message::ResponseBody>) -> Self {
        let redis = RedisBuilder::new(url).timeout(Duration::from_secs(5));
        Self::of(&redis, answer)
    }

    fn of(
        redis: &RedisBuilder,
        answer: fn() -> http::Response<crate::message::ResponseBody>,
    ) -> Self {
        let (store, worker) = RedisStore::new(redis).unwrap();
        let builder = CacheLayer::builder().store(Arc::new(store));
        let builder = builder.store_timeout(Duration::from_secs(5));
        Self {
            relay: Relay::new(builder, move |_| answer()),
            shutdown: worker.shutdown_handle(),
            worker: tokio::spawn(worker),
        }
    }

    /// Lets the worker write what is left.
    async fn written(self) {
        self.shutdown.shutdown();
        self.worker.await.unwrap();
    }
}

#[tokio::test]
async fn what_one_replica_was_answered_another_gives_again() {
    let Some(server) = Server::start() else {
        return;
    };
    for (asked, answer) in [
        (CHAT, (|| json(ANSWER)) as fn() -> _),
        (STREAMED, || events(EVENTS)),
    ] {
        let first = Replica::at(&server.url(), answer);
        let (status, whole) = first.relay.ask(request(asked)).await;
        assert_eq!(status, "miss");
        first.written().await;
        let second = Replica::at(&server.url(), answer);
        let told = second.relay.ask(request(asked)).await;
        assert_eq!(told, ("hit".to_owned(), whole));
        assert_eq!(second.relay.calls(), 0);
    }
}

#[tokio::test]
async fn what_is_purged_is_gone_for_all() {
    let Some(server) = Server::start() else {
        return;
    };
    let ask = |replica: &Replica, model: &str| {
        let asked = request(CHAT.replace("\"m\"", &format!("{model:?}")));
        let service = replica.relay.service.clone();
        async move {
            let response = tower::ServiceExt::oneshot(service, asked).await.unwrap();
            let status = response.headers()["x-relay-cache"]
                .to_str()
                .unwrap()
                .to_owned();
            http_body_util::BodyExt::collect(response.into_body())
                .await
                .unwrap();
            status
        }
    };
    let key_of = |replica: &Replica| replica.relay.handle.key_of(&request(CHAT)).unwrap();
    let first = Replica::at(&server.url(), || json(ANSWER));
    let key = key_of(&first);
    for (purge, kept) in [
        (Purge::Key(key.clone()), [false, true]),
        (Purge::Model("n".into()), [true, false]),
        (Purge::Scope(key.scope().clone()), [false, false]),
        (Purge::All, [false, false]),
    ] {
        let filling = Replica::at(&server.url(), || json(ANSWER));
        for model in ["m", "n"] {
            ask(&filling, model).await;
        }
        filling.written().await;
        first.relay.handle.purge(purge.clone()).await;
        let reading = Replica::at(&server.url(), || json(ANSWER));
        for (model, kept) in ["m", "n"].into_iter().zip(kept) {
            let status = if kept { "hit" } else { "miss" };
            assert_eq!(ask(&reading, model).await, status, "{purge:?} {model}");
        }
        reading.relay.handle.purge(Purge::All).await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_or_holds_something_else_is_a_miss() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let redis = RedisBuilder::new(server.url()).timeout(Duration::from_millis(300));
    let filling = Replica::of(&redis, || json(ANSWER));
    filling.relay.ask(request(CHAT)).await;
    filling.written().await;
    let mut other = server.connect().await;
    let keys: Vec<String> = ::redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut other)
        .await
        .unwrap();
    let written = ::redis::cmd("PSETEX")
        .arg(&keys)
        .arg(60_000)
        .arg("not an answer")
        .exec_async(&mut other)
        .await;
    written.unwrap();
    let replica = Replica::of(&redis, || json(ANSWER));
    assert_eq!(replica.relay.ask(request(CHAT)).await.0, "miss");
    server.stop();
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(replica.relay.ask(request(CHAT)).await.0, "miss");
    }
    // Each of the first few waits, and then the server is left alone: all of them would take half a minute.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(replica.relay.calls(), 101);
    replica.written().await;
}

#[tokio::test]
async fn an_answer_expires_with_its_time() {
    let Some(server) = Server::start() else {
        return;
    };
    let replica = Replica::at(&server.url(), || json(ANSWER));
    replica.relay.ask(request(CHAT)).await;
    replica.written().await;
    let mut other = server.connect().await;
    let keys: Vec<String> = ::redis::cmd("KEYS")
        .arg("tower-relay:cache:*")
        .query_async(&mut other)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let left: i64 = ::redis::cmd("TTL")
        .arg(&keys[0])
        .query_async(&mut other)
        .await
        .unwrap();
    assert!((3590..=3600).contains(&left), "{left}");
    // Nobody's name is in it.
    assert!(!keys[0].contains("sk-one"));
}

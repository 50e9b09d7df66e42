use std::{future::pending, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{ANSWER, CHAT, Relay, json, request, shared};
use crate::{
    cache::{CacheKey, CacheLayer, CacheStore, Entry, MemoryStore, Purge},
    control::{Controls, Parameters},
    key::Key,
    reserve::Answer,
};

/// A store that is there, and does nothing.
#[derive(Debug)]
struct Broken {
    hangs: bool,
}

impl CacheStore for Broken {
    fn get(&self, _: &CacheKey) -> Answer<Option<Entry>> {
        if self.hangs {
            Answer::Later(Box::pin(pending()))
        } else {
            Answer::Later(Box::pin(async { None }))
        }
    }

    fn put(&self, _: &CacheKey, _: Entry, _: Duration) {}

    fn purge(&self, _: &Purge) -> Answer<()> {
        Answer::now(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_is_a_miss() {
    for hangs in [false, true] {
        let relay = Relay::new(
            CacheLayer::builder().store(Arc::new(Broken { hangs })),
            |_| json(ANSWER),
        );
        let began = Instant::now();
        for _ in 0..2 {
            assert_eq!(
                relay.ask(request(CHAT)).await,
                ("miss".to_owned(), ANSWER.to_owned())
            );
        }
        assert_eq!(began.elapsed().as_millis(), if hangs { 200 } else { 0 });
        assert_eq!(relay.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_left_while_the_store_is_asked_asks_nobody() {
    let builder = CacheLayer::builder().store(Arc::new(Broken { hangs: true }));
    let relay = Relay::new(builder, |_| json(ANSWER));
    let mut left = tokio_test::task::spawn(relay.send(request(CHAT)));
    assert!(left.poll().is_pending());
    drop(left);
    assert_eq!((relay.calls(), relay.handle.in_flight()), (0, 0));
}

fn entry(bytes: usize) -> Entry {
    let body = bytes::Bytes::from(vec![b'x'; bytes]);
    Entry::new(
        http::HeaderMap::new(),
        crate::message::Media::Json,
        [&body].into_iter(),
        None,
    )
}

#[test]
fn what_is_kept_stays_within_its_weight() {
    const MAX: u64 = 4 << 20;
    let store = MemoryStore::new(MAX);
    let entry = entry(200);
    for number in 0..100_000_u32 {
        let key = CacheKey::of_test(&number.to_string(), &Key::GLOBAL, "m");
        store.put(&key, entry.clone(), Duration::from_secs(60));
    }
    let (answers, bytes) = store.size().unwrap();
    assert!(bytes <= MAX, "{bytes}");
    assert!(
        answers * entry.weight() <= bytes && answers > 1_000,
        "{answers}"
    );
}

#[tokio::test]
async fn the_cache_says_how_much_it_keeps() {
    let relay = Relay::new(shared(), |_| json(ANSWER));
    relay.ask(request(CHAT)).await;
    let (answers, bytes) = relay.handle.size().unwrap();
    assert_eq!(answers, 1);
    assert!(
        bytes > ANSWER.len() as u64 && bytes < ANSWER.len() as u64 + 1_000,
        "{bytes}"
    );
}

#[tokio::test]
async fn what_is_kept_is_shown_and_purged_by_name() {
    let relay = Relay::new(shared(), |_| json(ANSWER));
    let controls = Controls::default();
    controls.add("answers", relay.handle.clone());
    let purge = |json: &str| {
        let with = Parameters::parse(json.as_bytes()).unwrap();
        controls.act(("caches", "answers"), "purge", with)
    };
    let answers = |count: u64| serde_json::json!({"answers": count});
    let other = CHAT.replace("\"m\"", "\"other\"");
    for body in [CHAT.to_owned(), other.clone()] {
        relay.ask(request(body)).await;
    }
    assert_eq!(controls.show_kind("caches").unwrap()["answers"]["kept"], 2);
    for (refused, reason) in [
        (r#"{"model":""}"#, "model: must not be empty"),
        (r#"{"modle":"m"}"#, "unknown field `modle`"),
    ] {
        let error = purge(refused).await.unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
    let change = purge(r#"{"model":"m"}"#).await.unwrap();
    assert_eq!(change.old, answers(2));
    assert_eq!(relay.ask(request(CHAT)).await.0, "miss");
    assert_eq!(relay.ask(request(other.clone())).await.0, "hit");
    purge("").await.unwrap();
    for body in [CHAT.to_owned(), other] {
        assert_eq!(relay.ask(request(body)).await.0, "miss");
    }
}

#[tokio::test]
async fn distinct_requests_stay_within_the_weight() {
    stay_within_the_weight(5_000, 256 << 10).await;
}

#[tokio::test]
#[ignore = "takes minutes without optimisation: cargo test --release a_million_distinct -- --ignored --nocapture"]
async fn a_million_distinct_requests_stay_within_the_weight() {
    let before = resident();
    let at_first = stay_within_the_weight(100_000, 8 << 20).await;
    let at_last = stay_within_the_weight(1_000_000, 8 << 20).await;
    println!(
        "resident before {before:?}, after 100,000 {at_first:?}, after 1,000,000 {at_last:?} bytes"
    );
    // What the ninefold number of requests takes of memory is nothing.
    if let (Some(first), Some(last)) = (at_first, at_last) {
        assert!(last < first + (8 << 20), "{first} and then {last}");
    }
}

/// Asks for so many different answers; what the process takes of memory then.
async fn stay_within_the_weight(requests: u32, max: u64) -> Option<u64> {
    let relay = Relay::new(shared().max_memory(max), |_| json(ANSWER));
    let mut most = 0;
    for number in 0..requests {
        let body = CHAT.replace("hi", &number.to_string());
        assert_eq!(relay.ask(request(body)).await.0, "miss");
        if number % 1_000 == 0 {
            let (_, bytes) = relay.handle.size().unwrap();
            most = most.max(bytes);
        }
    }
    let (answers, bytes) = relay.handle.size().unwrap();
    println!(
        "{requests} requests: {answers} answers of {bytes} bytes kept, {most} at most of {max}"
    );
    assert!(most <= max && most > max / 2, "{most}");
    assert_eq!(relay.handle.in_flight(), 0);
    resident()
}

/// What this process takes of memory, in bytes, where the system says so.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

//! Those who ask, and what they see.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::books::{Dice, Tokens};
use crate::harness::caller;

/// The keys that they ask with.
const KEYS: u64 = 4;
/// The id of requests that are not accounted for.
pub(super) const APART: &str = "apart";

/// What a caller saw of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Seen {
    Answered(Tokens),
    /// An error in place of an answer.
    Denied(StatusCode),
    /// An error, or the end, within an answer.
    Broken,
    Left,
}

/// What became of each request, by its id, and how long that took.
pub(super) type Log = Arc<Mutex<HashMap<String, (Seen, Duration)>>>;

pub(super) async fn client(
    uri: String,
    number: usize,
    dice: Arc<Dice>,
    stop: Arc<AtomicBool>,
    log: Log,
) {
    let caller = caller();
    for count in 0.. {
        if stop.load(SeqCst) {
            return;
        }
        let id = format!("soak-{number}-{count}");
        let (begun, key) = (Instant::now(), dice.below(KEYS));
        let seen = ask(&caller, &uri, (&id, key), &dice).await;
        let took = begun.elapsed();
        if matches!(seen, Seen::Denied(_)) {
            // As whoever is told to wait.
            sleep(Duration::from_millis(20)).await;
        }
        log.lock().unwrap().insert(id, (seen, took));
    }
}

async fn ask(
    caller: &Client<HttpConnector, Full<Bytes>>,
    uri: &str,
    (id, key): (&str, u64),
    dice: &Dice,
) -> Seen {
    let is_stream = dice.below(2) == 0;
    let mut body = json!({
        "model": "soak", "user": id, "max_tokens": 500, "stream": is_stream,
        "messages": [{"role": "user", "content": "x".repeat(usize::try_from(dice.below(4_000)).unwrap())}],
    });
    if is_stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    let mut body = body.to_string();
    if dice.below(50) == 0 {
        body.pop();
    }
    let request = Request::post(uri)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer key-{key}"))
        .header("x-relay-request-id", id)
        .body(Full::from(body))
        .unwrap();
    let asking = async {
        match caller.request(request).await {
            Ok(response) => read(response, is_stream).await,
            Err(error) => {
                assert!(!error.is_connect(), "{id}: {error:?}");
                // It had idled, and was closed just when it was to be used.
                Seen::Left
            }
        }
    };
    if dice.below(6) > 0 {
        asking.await
    } else {
        let patience = Duration::from_millis(dice.below(60));
        timeout(patience, asking).await.unwrap_or(Seen::Left)
    }
}

/// An answer for every key.
pub(super) async fn each_key_is_answered(uri: &str, dice: &Dice) {
    for key in 0..KEYS {
        while !matches!(
            ask(&caller(), uri, (APART, key), dice).await,
            Seen::Answered(_)
        ) {}
    }
}

async fn read(response: Response<Incoming>, is_stream: bool) -> Seen {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return Seen::Broken;
    };
    if head.status != StatusCode::OK {
        return Seen::Denied(head.status);
    }
    let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    let last = if is_stream {
        let Some(events) = body.strip_suffix("data: [DONE]\n\n") else {
            return Seen::Broken;
        };
        events.rsplit("data: ").next().unwrap_or_default()
    } else {
        &body
    };
    let last: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{body}"));
    let count = |name: &str| last["usage"][name].as_u64().unwrap();
    Seen::Answered((count("prompt_tokens"), count("completion_tokens")))
}

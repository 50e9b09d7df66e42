//! What a cache adds to a request: its key, a hit, and a miss beside the same call without it.

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group};
use http::{HeaderValue, Request, Response, header};
use sha2::{Digest, Sha256};
use tower::Layer;
use tower_relay::{
    cache::{CacheKey, CacheLayer, CacheStore, Entry, Purge},
    message::{RequestBody, ResponseBody},
    reserve::Answer,
};

use crate::exchange::{Answers, call};

const ANSWER: &[u8] = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1764480000,"model":"gpt-4.1-mini","choices":[{"index":0,"message":{"role":"assistant","content":"A relay for language models stands between applications and providers. It passes requests on, limits and meters them, and tries again where a provider fails.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":34,"completion_tokens":31,"total_tokens":65},"service_tier":"default"}"#;

/// A chat request of about this many bytes.
fn body(length: usize) -> Bytes {
    let text = "Explain what a relay does. ".repeat(length / 27);
    format!(
        r#"{{"model":"gpt-4.1-mini","messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"{text}"}}],"temperature":0,"max_tokens":256,"stream":false}}"#
    )
    .into()
}

/// A request that layers further out have read already.
fn request(body: &RequestBody) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .header("host", "127.0.0.1:8080")
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-of-the-caller")
        .header("accept", "*/*")
        .header("user-agent", "bench")
        .body(body.try_clone().unwrap())
        .unwrap()
}

fn indexed(length: usize) -> RequestBody {
    let body = RequestBody::json(body(length));
    black_box(body.model());
    body
}

const ANSWERS: Answers = Answers(|| {
    let mut response = Response::new(ResponseBody::from(Bytes::from_static(ANSWER)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    ResponseBody::wrap(response)
});

#[derive(Debug)]
struct Forgets;

impl CacheStore for Forgets {
    fn get(&self, _: &CacheKey) -> Answer<Option<Entry>> {
        Answer::now(None)
    }

    fn put(&self, _: &CacheKey, _: Entry, _: Duration) {}

    fn purge(&self, _: &Purge) -> Answer<()> {
        Answer::now(())
    }
}

fn cached(criterion: &mut Criterion) {
    for (name, length) in [("1k", 800), ("100k", 100_000)] {
        let text = body(length);
        criterion.bench_function(&format!("cache/sha256_{name}"), |bencher| {
            bencher.iter(|| Sha256::digest(black_box(&text)));
        });
        let handle = CacheLayer::builder().build().unwrap().handle();
        let asked = request(&indexed(length));
        criterion.bench_function(&format!("cache/key_{name}"), |bencher| {
            bencher.iter(|| handle.key_of(black_box(&asked)));
        });
    }

    let body = indexed(800);
    let mut bench = |name: &str, mut service: Box<dyn FnMut(Request<RequestBody>)>| {
        criterion.bench_function(name, |bencher| {
            let asked = || request(&body);
            bencher.iter_batched(asked, &mut service, BatchSize::SmallInput);
        });
    };
    let mut bare = ANSWERS;
    bench(
        "cache/bare",
        Box::new(move |request| call(&mut bare, request)),
    );
    let mut hits = CacheLayer::builder().build().unwrap().layer(ANSWERS);
    bench(
        "cache/hit",
        Box::new(move |request| call(&mut hits, request)),
    );
    let forgets = CacheLayer::builder().store(Arc::new(Forgets));
    let mut misses = forgets.build().unwrap().layer(ANSWERS);
    bench(
        "cache/miss",
        Box::new(move |request| call(&mut misses, request)),
    );
}

criterion_group!(benches, cached);

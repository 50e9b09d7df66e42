//! What metering adds to reading an answer, and what a budget adds to a request.

use std::{convert::Infallible, hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_relay::{
    budget::{Budget, BudgetLayer, Per},
    cost_meter::CostMeterLayer,
    key::KeyBy,
    ledger::Totals,
    message::{RequestBody, ResponseBody, catalog::Cost},
};
use tower_service::Service;

criterion_group!(benches, answers, events, budgets);

/// Some 0.7 kB.
const ANSWER: &[u8] = br#"{
  "id": "chatcmpl-9xK2mQ7tRvB4",
  "object": "chat.completion",
  "created": 1730000000,
  "model": "gpt-4o-mini-2024-07-18",
  "choices": [
    {
      "index": 0,
      "message": {
        "role": "assistant",
        "content": "A relay passes a request on and the answer back.",
        "refusal": null,
        "annotations": []
      },
      "logprobs": null,
      "finish_reason": "stop"
    }
  ],
  "usage": {
    "prompt_tokens": 1201,
    "completion_tokens": 310,
    "total_tokens": 1511,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0}
  },
  "service_tier": "default",
  "system_fingerprint": "fp_0ba0d124f1"
}"#;
const EVENT: &[u8] = b"data: {\"id\":\"chatcmpl-9xK2mQ7tRvB4\",\"object\":\"chat.completion.chunk\",\"created\":1730000000,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" relay\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
const EVENTS: usize = 1_000;

fn request(stream: bool) -> Request<RequestBody> {
    let body = if stream {
        r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"What does a relay do?"}]}"#
    } else {
        r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"What does a relay do?"}]}"#
    };
    let request = Request::post("/v1/chat/completions").header("authorization", "Bearer sk-acme");
    request.body(RequestBody::json(body)).unwrap()
}

fn whole() -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", "application/json");
    ResponseBody::wrap(
        response
            .body(Full::new(Bytes::from_static(ANSWER)))
            .unwrap(),
    )
}

fn streamed() -> Response<ResponseBody> {
    let frames = (0..EVENTS).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(EVENT))));
    let end = Frame::data(Bytes::from_static(b"data: [DONE]\n\n"));
    let body = StreamBody::new(stream::iter(frames.chain([Ok(end)])));
    let response = Response::builder().header("content-type", "text/event-stream");
    ResponseBody::wrap(response.body(body).unwrap())
}

fn served<S>(service: &S, request: Request<RequestBody>)
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    let answer = service.clone().oneshot(request).now_or_never();
    let Some(Ok(response)) = answer else {
        panic!("an answer at once")
    };
    let mut body = response.into_body().on_end(|completion| {
        black_box(completion.usage);
    });
    while let Some(Some(frame)) = body.frame().now_or_never() {
        let _ = black_box(frame);
    }
}

fn answers(c: &mut Criterion) {
    let mut group = c.benchmark_group("cost");
    let read = service_fn(|_: Request<RequestBody>| async { Ok::<_, Infallible>(whole()) });
    let metered = CostMeterLayer::new().layer(read);
    let ledger = CostMeterLayer::builder().ledger(Arc::new(Totals::default()));
    let recorded = ledger.build().unwrap().layer(read);
    group.throughput(Throughput::Elements(1));
    group.bench_function("answer_0.7kB/read", |b| {
        b.iter(|| served(&read, request(false)));
    });
    group.bench_function("answer_0.7kB/metered", |b| {
        b.iter(|| served(&metered, request(false)));
    });
    group.bench_function("answer_0.7kB/metered_and_recorded", |b| {
        b.iter(|| served(&recorded, request(false)));
    });
    group.finish();
}

fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("cost");
    let read = service_fn(|_: Request<RequestBody>| async { Ok::<_, Infallible>(streamed()) });
    let metered = CostMeterLayer::new().layer(read);
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("events_without_usage/read", |b| {
        b.iter(|| served(&read, request(true)));
    });
    group.bench_function("events_without_usage/metered", |b| {
        b.iter(|| served(&metered, request(true)));
    });
    group.finish();
}

fn budgets(c: &mut Criterion) {
    let mut group = c.benchmark_group("cost");
    let read = service_fn(|_: Request<RequestBody>| async { Ok::<_, Infallible>(whole()) });
    let much = Cost::from_pico_usd(u128::MAX >> 8);
    let layer = BudgetLayer::builder()
        .budget(Budget::new("all", KeyBy::global(), much, Per::Total))
        .budget(Budget::new("key", KeyBy::api_key(), much, Per::Month));
    let budgeted = layer.build().unwrap().layer(read);
    group.bench_function("answer_0.7kB/within_two_budgets", |b| {
        b.iter(|| served(&budgeted, request(false)));
    });
    group.finish();
}

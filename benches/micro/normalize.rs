//! What it costs to find that an answer is OpenAI's already, beside reading the same bytes for nothing.

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use serde::de::IgnoredAny;
use tower::{Layer, Service, service_fn};
use tower_relay::{
    message::{RequestBody, ResponseBody},
    normalize::{ResponseNormalizeLayer, conforms},
    wire::sse::Framer,
};

criterion_group!(benches, body, stream);

/// 0.7 kB, as OpenAI sends it.
const BODY: &[u8] = br#"{
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

const EVENTS: usize = 64;

fn body(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalize");
    group.throughput(Throughput::Bytes(BODY.len() as u64));
    assert!(conforms(BODY));
    group.bench_function("body_0.7kB_ignored_any", |bencher| {
        bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(BODY)).unwrap());
    });
    group.bench_function("body_0.7kB_conforms", |bencher| {
        bencher.iter(|| conforms(black_box(BODY)));
    });
    let sent = Bytes::from_static(BODY);
    group.bench_function("body_0.7kB_bare", |bencher| {
        through(bencher, &mut bare(vec![sent.clone()], "application/json"));
    });
    group.bench_function("body_0.7kB_layer", |bencher| {
        let mut service =
            ResponseNormalizeLayer::new().layer(bare(vec![sent.clone()], "application/json"));
        through(bencher, &mut service);
    });
}

fn stream(criterion: &mut Criterion) {
    let mut events: Vec<_> = (0..EVENTS - 1)
        .map(|number| chunk(&format!("{{\"content\":\" w{number}\"}}"), "null"))
        .collect();
    events.push(chunk("{}", "\"stop\""));
    let whole = vec![Bytes::from(events.concat())];
    let mut group = criterion.benchmark_group("normalize");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, chunks) in [("whole", whole), ("chunked", events)] {
        group.bench_function(
            format!("stream_64_{name}_frame_and_ignored_any"),
            |bencher| {
                bencher.iter(|| {
                    let mut framer = Framer::default();
                    for chunk in &chunks {
                        let mut frames = framer.push(black_box(chunk));
                        while let Some(frame) = frames.next().unwrap() {
                            let data = frame.data().unwrap();
                            serde_json::from_slice::<IgnoredAny>(&data).unwrap();
                        }
                    }
                });
            },
        );
        group.bench_function(format!("stream_64_{name}_bare"), |bencher| {
            through(bencher, &mut bare(chunks.clone(), "text/event-stream"));
        });
        group.bench_function(format!("stream_64_{name}_layer"), |bencher| {
            let mut service =
                ResponseNormalizeLayer::new().layer(bare(chunks.clone(), "text/event-stream"));
            through(bencher, &mut service);
        });
    }
}

fn chunk(delta: &str, finish: &str) -> Bytes {
    Bytes::from(format!(
        "data: {{\"id\":\"chatcmpl-B1xY2\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,\"model\":\"gpt-4o-mini\",\
         \"system_fingerprint\":null,\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    ))
}

/// Answers with `chunks` at once.
fn bare(
    chunks: Vec<Bytes>,
    media: &'static str,
) -> impl Service<Request<RequestBody>, Response = Response<ResponseBody>, Error = Infallible> {
    service_fn(move |_: Request<RequestBody>| {
        let frames = chunks
            .clone()
            .into_iter()
            .map(|chunk| Ok::<_, Infallible>(http_body::Frame::data(chunk)));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
    })
}

/// Calls `service` and takes its answer frame by frame; everything is ready, so one poll is enough.
fn through<S>(bencher: &mut criterion::Bencher<'_>, service: &mut S)
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    bencher.iter_batched(
        || {
            Request::post("/v1/chat/completions")
                .body(RequestBody::json(r#"{"model":"gpt-4o-mini"}"#))
                .unwrap()
        },
        |request| {
            let future = pin!(service.call(request));
            let Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
                panic!("an answer at once")
            };
            let mut body = response.into_body();
            while let Poll::Ready(Some(frame)) = pin!(body.frame()).poll(&mut cx) {
                drop(black_box(frame.unwrap()));
            }
        },
        BatchSize::SmallInput,
    );
}

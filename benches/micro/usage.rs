use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tower_relay::message::usage::UsageScan;

/// A chunk of some 200 bytes as most are: a little text, no reason to stop, no usage yet.
const WITHOUT_USAGE: &[u8] = br#"{"id":"chatcmpl-9xK2mQ7tRvB4","object":"chat.completion.chunk","created":1730000000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":" relay"},"logprobs":null,"finish_reason":null}],"usage":null}"#;

const WITH_USAGE: &[u8] = br#"{"id":"chatcmpl-9xK2mQ7tRvB4","object":"chat.completion.chunk","created":1730000000,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1201,"completion_tokens":310,"total_tokens":1511,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":128,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#;

const FINISH: &[u8] = br#"{"id":"chatcmpl-9xK2mQ7tRvB4","object":"chat.completion.chunk","created":1730000000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#;

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

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("usage");
    for (name, event) in [
        ("event_without_usage", WITHOUT_USAGE),
        ("event_with_usage", WITH_USAGE),
        ("event_with_finish_reason", FINISH),
    ] {
        group.throughput(Throughput::Bytes(event.len() as u64));
        group.bench_function(name, |bencher| {
            let mut scan = UsageScan::default();
            bencher.iter(|| scan.event(black_box(event)));
        });
    }
    group.throughput(Throughput::Bytes(BODY.len() as u64));
    group.bench_function("body_0.7kB", |bencher| {
        bencher.iter(|| {
            let mut scan = UsageScan::default();
            scan.body(black_box(BODY));
            scan.usage()
        });
    });
    group.finish();
}

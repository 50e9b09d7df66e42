use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group};
use tower_relay::message::{RequestBody, estimate::TokenEstimator};

criterion_group!(benches, estimate);

const ENGLISH: &str = "The relay holds the request as one piece of text and remembers where its members lie. Nothing is decoded that nobody asked for. ";
const CHINESE: &str = "中继把请求作为一段文本保存，并记住各个成员的位置。没有人要求的内容不会被解码，调用者发送的内容原样到达。";

fn estimate(c: &mut Criterion) {
    let mut group = c.benchmark_group("estimate");
    let by_bytes = TokenEstimator::by_bytes();
    for (name, text) in [("english", ENGLISH), ("chinese", CHINESE)] {
        let text = text.repeat(100_000 / text.len());
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("text_100kB_{name}"), |b| {
            b.iter(|| by_bytes.estimate_text(black_box(&text)));
        });
        let body =
            format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{text}"}}]}}"#);
        group.bench_function(format!("first_prompt_100kB_{name}"), |b| {
            b.iter_batched(
                || {
                    let body = RequestBody::json(body.clone());
                    body.members().is_ok().then_some(body)
                },
                |body| by_bytes.estimate(&body.unwrap()),
                criterion::BatchSize::LargeInput,
            );
        });
    }
    let by_tiktoken = TokenEstimator::by_tiktoken(64 * 1024);
    let text = ENGLISH.repeat(64 * 1024 / ENGLISH.len());
    let run = "a".repeat(64 * 1024);
    for (name, text) in [("english", &text), ("one_letter", &run)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("tiktoken_64kB_{name}"), |b| {
            b.iter(|| by_tiktoken.estimate_text(black_box(text)));
        });
    }
}

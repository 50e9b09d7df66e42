use std::{fmt::Write, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group};
use serde::de::IgnoredAny;
use tower_relay::wire::json::Index;

criterion_group!(benches, index, splice);

const SMALL: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant. Answer in one sentence."},{"role":"user","content":"What is the tallest mountain of the Alps,\nand who climbed it first?"}],"temperature":0.7,"max_tokens":256,"stream":true,"stream_options":{"include_usage":true}}"#;

/// A chat of prose and code, about one escape in 60 bytes, with the members that clients commonly send.
fn chat_100kb(prose: &str) -> String {
    let code = r#"```rust\nfn main() {\n    println!(\"{}\", \"so\\nit goes\");\n}\n```\n"#;
    let mut text = String::from(
        r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"temperature":0.7,"top_p":1.0,"max_tokens":1024,"user":"tenant-7","tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}],"messages":["#,
    );
    for turn in 0.. {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        write!(text, r#"{{"role":"{role}","content":""#).unwrap();
        for _ in 0..=turn % 5 {
            text.extend([prose, code]);
        }
        text.push_str(r#""}"#);
        if text.len() > 100_000 {
            break;
        }
        text.push(',');
    }
    text.push_str(r#"],"seed":42}"#);
    text
}

const ENGLISH: &str = r#"The relay holds the request as one piece of text and remembers where its members lie. Nothing is decoded that nobody asked for, and what the caller sent arrives as it was sent.\nWhen a layer wants another model, the \"model\" member is replaced, and the rest is copied once; so the cost of an edit is the cost of a copy.\n\n"#;
const CHINESE: &str = r#"中继把请求作为一段文本保存，并记住各个成员的位置。没有人要求的内容不会被解码，调用者发送的内容原样到达。\n当某一层需要另一个模型时，\"model\" 成员会被替换，其余部分只复制一次；因此一次编辑的成本就是一次复制的成本。\n\n"#;

fn index(c: &mut Criterion) {
    let mut group = c.benchmark_group("json");
    let english = chat_100kb(ENGLISH);
    let chinese = chat_100kb(CHINESE);
    for (name, text) in [
        ("300B", SMALL),
        ("100kB", &english),
        ("100kB_chinese", &chinese),
    ] {
        let text = text.as_bytes();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("index_{name}"), |b| {
            b.iter(|| Index::parse(black_box(text)).unwrap());
        });
        group.bench_function(format!("ignored_any_{name}"), |b| {
            b.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(text)).unwrap());
        });
    }
}

fn splice(c: &mut Criterion) {
    let mut group = c.benchmark_group("json");
    let text = chat_100kb(ENGLISH);
    for (name, text) in [("300B", SMALL), ("100kB", &text)] {
        let text = text.as_bytes();
        let index = Index::parse(text).unwrap();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("splice_model_{name}"), |b| {
            b.iter(|| {
                let mut edit = index.members(black_box(text)).edit();
                edit.set("model", "claude-sonnet-4-5");
                edit.finish()
            });
        });
    }
}

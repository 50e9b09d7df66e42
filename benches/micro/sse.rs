use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use tower_relay::wire::sse::Framer;

const EVENTS: usize = 64;

fn events() -> Vec<Bytes> {
    (0..EVENTS)
        .map(|n| {
            Bytes::from(format!(
                "data: {{\"id\":\"chatcmpl-B1xY2\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,\"model\":\"gpt-4o-mini\",\
                 \"system_fingerprint\":null,\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" w{n}\"}},\"finish_reason\":null}}]}}\n\n"
            ))
        })
        .collect()
}

fn read(framer: &mut Framer, chunk: &Bytes) {
    let mut frames = framer.push(chunk);
    while let Some(frame) = frames.next().unwrap() {
        black_box(frame.data());
    }
}

fn framing(c: &mut Criterion) {
    let chunked = events();
    let whole = vec![Bytes::from(chunked.concat())];
    let crlf = vec![Bytes::from(
        String::from_utf8(chunked.concat())
            .unwrap()
            .replace('\n', "\r\n"),
    )];
    let mut named = Vec::new();
    for event in &chunked {
        named.extend_from_slice(b"event: content_block_delta\n");
        named.extend_from_slice(event);
    }
    let packets: Vec<Bytes> = chunked
        .concat()
        .chunks(150)
        .map(Bytes::copy_from_slice)
        .collect();

    let mut group = c.benchmark_group("sse");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, chunks) in [
        ("frame_64_events_chunked", chunked),
        ("frame_64_events_whole", whole),
        ("frame_64_events_crlf", crlf),
        ("frame_64_events_named", vec![Bytes::from(named)]),
        ("frame_64_events_split", packets),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut framer = Framer::default();
                for chunk in &chunks {
                    read(&mut framer, black_box(chunk));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, framing);

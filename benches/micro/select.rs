//! What it costs to choose a model, beyond the counts over the prompt that all layers share.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group};
use tower_relay::{
    message::RequestBody,
    model_select::{Features, Keywords, Scorer, Size, ToolUse, Weighted},
};

criterion_group!(benches, scorers);

const PROSE: &str =
    "The wind was low and the sea went out; nobody on the pier had seen a ship for a week. ";

fn scorers(c: &mut Criterion) {
    let mut group = c.benchmark_group("select");
    let text = PROSE.repeat(100_000 / PROSE.len());
    let json = format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let body = RequestBody::json(json.clone());
    let features = Features::of(&body).unwrap();
    let scorers: [(&str, &dyn Scorer); 4] = [
        ("tool_use", &ToolUse),
        ("size", &Size),
        ("keywords", &Keywords),
        ("weighted", &Weighted::default()),
    ];
    for (name, scorer) in scorers {
        group.bench_function(format!("{name}_100kB"), |b| {
            b.iter(|| scorer.score(black_box(&features)));
        });
    }
    group.bench_function("index_and_counts_100kB", |b| {
        b.iter_batched(
            || RequestBody::json(json.clone()),
            |body| Features::of(&body).is_some(),
            BatchSize::LargeInput,
        );
    });
}

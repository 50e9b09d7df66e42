use std::hint::black_box;

use criterion::{Criterion, criterion_group};
use tower_relay::message::catalog::{ModelCatalog, ModelInfo, ModelTable};

criterion_group!(benches, lookup);

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("catalog");
    let pattern = ModelInfo::new("local/*");
    let catalog =
        ModelCatalog::new(ModelTable::builtin().overlay(&ModelTable::from_iter([pattern])));
    for (name, asked) in [
        ("exact", "claude-sonnet-4-5"),
        ("spelling", "claude-sonnet-4.5"),
        ("date", "claude-sonnet-4-5-20250929"),
        ("prefix", "openai/gpt-4.1-mini"),
        (
            "prefix_spelling_date",
            "Anthropic/claude-sonnet-4.5@20250929",
        ),
        ("bare", "gemini-2.5-flash"),
        ("pattern", "local/llama-4-maverick-instruct"),
    ] {
        group.bench_function(format!("get_{name}"), |b| {
            b.iter(|| catalog.get(black_box(asked)));
        });
    }
    group.bench_function("get_nothing", |b| {
        b.iter(|| catalog.get(black_box("meta/no-such-model-20250101")));
    });
    group.bench_function("get_at", |b| {
        b.iter(|| catalog.get_at(black_box("groq"), black_box("openai/gpt-oss-120b")));
    });
}

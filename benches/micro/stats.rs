use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group};
use tokio::time::Instant;
use tower_relay::stats::{Availability, Latency, Sample, Stats, Verdict};

criterion_group!(benches, stats);

fn stats(c: &mut Criterion) {
    let mut group = c.benchmark_group("stats");
    let stats = Stats::default();
    let start = Instant::now();
    let sample = Sample {
        verdict: Verdict::Success,
        head: Some(Duration::from_millis(80)),
        first_token: Some(Duration::from_millis(250)),
        total: Some(Duration::from_secs(3)),
    };
    for (at, model) in (0..64).zip(0..) {
        let series = stats.series("upstream", &format!("model-{model}"), start);
        for slice in 0..10 {
            series.record_sample(start + Duration::from_secs(6 * slice), &sample);
        }
        series.observe(start, Latency::Total, Duration::from_millis(17 * at));
    }
    let now = start + Duration::from_secs(59);
    let series = stats.series("upstream", "model-7", now);

    group.bench_function("series", |b| {
        b.iter(|| stats.series(black_box("upstream"), black_box("model-7"), now));
    });
    group.bench_function("record", |b| {
        b.iter(|| series.record(black_box(now), Verdict::Success));
    });
    group.bench_function("record_sample", |b| {
        b.iter(|| series.record_sample(black_box(now), &sample));
    });
    group.bench_function("outcomes", |b| b.iter(|| series.outcomes(black_box(now))));
    group.bench_function("quantile", |b| {
        b.iter(|| series.quantile(black_box(now), Latency::FirstToken, 0.95));
    });
    group.bench_function("snapshot_64_series", |b| {
        b.iter(|| stats.snapshot(black_box(now)));
    });
    let cell = stats.availability("upstream");
    cell.publish(Availability::SlowStart {
        since: start,
        over: Duration::from_secs(90),
        floor: 100,
    });
    group.bench_function("availability_weight", |b| {
        b.iter(|| cell.get().weight(black_box(now)));
    });
}

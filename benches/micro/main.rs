//! What the crate's building blocks cost by themselves: `cargo bench --bench micro`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench may fail as a test may"
)]

mod cache;
mod catalog;
mod cost;
mod estimate;
mod exchange;
mod json;
mod limit;
mod normalize;
mod select;
mod sse;
mod stack;
mod stats;
mod usage;

criterion::criterion_main!(
    cache::benches,
    catalog::benches,
    cost::benches,
    estimate::benches,
    json::benches,
    normalize::benches,
    limit::benches,
    select::benches,
    sse::benches,
    stack::benches,
    stats::benches,
    usages
);
criterion::criterion_group!(usages, usage::benches);

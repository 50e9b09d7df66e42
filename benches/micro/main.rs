//! What the crate's building blocks cost by themselves: `cargo bench --bench micro`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench may fail as a test may"
)]

mod json;
mod sse;
mod stack;
mod usage;

criterion::criterion_main!(json::benches, sse::benches, stack::benches, usages);
criterion::criterion_group!(usages, usage::benches);

//! Microbenchmarks of the parts that every request or every event passes.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmarks")]

mod sse;

criterion::criterion_main!(sse::benches);

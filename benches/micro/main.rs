//! What the crate's building blocks cost by themselves: `cargo bench --bench micro`.

mod catalog;
mod json;
mod stats;

criterion::criterion_main!(catalog::benches, json::benches, stats::benches);

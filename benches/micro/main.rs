//! What the crate's building blocks cost by themselves: `cargo bench --bench micro`.

mod catalog;
mod json;

criterion::criterion_main!(catalog::benches, json::benches);

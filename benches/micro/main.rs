//! Benchmarks of single functions: `cargo bench --bench micro`.

use criterion::{criterion_group, criterion_main};

mod usage;

criterion_group!(benches, usage::benches);
criterion_main!(benches);

//! What the crate's building blocks cost by themselves: `cargo bench --bench micro`.

mod json;

criterion::criterion_main!(json::benches);

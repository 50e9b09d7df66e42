//! A whole gateway before embedded upstreams, driven by a real client over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed; some print what they measured"
)]

mod answers;
mod bills;
mod broken;
mod budgets;
mod cached;
#[cfg(unix)]
mod child;
mod every_layer;
mod exported;
mod fitting;
mod guides;
mod harness;
mod keys;
#[cfg(unix)]
mod killed;
mod leaving;
mod lifecycle;
mod live;
mod migrating;
mod normalized;
mod observing;
mod operators;
mod pools;
mod program;
#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "the crate's own tests use the rest"
)]
#[path = "../../src/testing/redis_server.rs"]
mod redis_server;
mod reload;
mod replicas;
mod resilience;
mod restart;
#[cfg(target_os = "linux")]
mod soak;
mod splits;
mod streams;
mod telemetry;
mod tenants;

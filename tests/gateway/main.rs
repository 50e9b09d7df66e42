//! A whole gateway before embedded upstreams, driven by a real client over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod answers;
mod bills;
mod broken;
mod budgets;
mod cached;
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
mod splits;
mod streams;
mod telemetry;
mod tenants;

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
mod budgets;
mod fitting;
mod harness;
mod keys;
#[cfg(unix)]
mod killed;
mod leaving;
mod lifecycle;
mod normalized;
mod pools;
mod program;
mod resilience;
mod restart;
mod splits;
mod streams;
mod tenants;

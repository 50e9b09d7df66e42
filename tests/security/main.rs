//! What hostile callers and careless upstreams try, against a whole gateway over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unnecessary_debug_formatting,
    reason = "a test that cannot go on has failed"
)]

mod bodies;
#[allow(dead_code, reason = "the gateway's own tests use the rest")]
#[path = "../gateway/harness.rs"]
mod harness;
mod headers;
mod http2;
mod identity;
mod json;
mod raw;
#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "the crate's own tests use the rest"
)]
#[path = "../../src/testing/redis_server.rs"]
mod redis_server;
mod secrets;
mod slow;
mod smuggling;
mod upstream_choice;

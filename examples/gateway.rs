//! A whole relay: `cargo run --release --example gateway` runs one before embedded demo upstreams, with no key and no
//! network, and prints a request to try; `-- --config examples/gateway.toml` runs it before real ones.
//!
//! All of it is the crate's `gateway` module, to build on: `gateway::Config` reads the file, `Config::build` makes the stack,
//! `Gateway::service` nests it in an application of one's own.

use std::process::ExitCode;

fn main() -> ExitCode {
    tower_relay::gateway::main()
}

//! What an audit file says: `cargo run --example audit_report -- audit.jsonl --compare gpt-4.1-nano`

use std::process::ExitCode;

fn main() -> ExitCode {
    tower_relay::audit::main()
}

//! The gateway as a program: `tower-relay --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tower_relay::gateway::main()
}

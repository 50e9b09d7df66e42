//! Faulty upstreams.
#![allow(clippy::print_stdout, reason = "an example shows what came of it")]

mod suite;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let scenarios = suite::scenarios::all();
    for outcome in suite::run::matrix(&scenarios)? {
        let row = &outcome.row;
        println!(
            "{:26} {:8} {:5} {:34} {} {:6} {:?}",
            row.scenario,
            row.stack,
            row.streamed,
            outcome.shown.to_string(),
            row.upstream_calls,
            row.elapsed_ms,
            outcome.faults
        );
    }
    Ok(())
}

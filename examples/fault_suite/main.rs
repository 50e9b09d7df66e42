//! What becomes of an answer whose upstream fails, in seventy ways, behind four stacks of this crate: `cargo run --example fault_suite`.
//!
//! `--relay` holds any other relay to the same, `--upstream-script` plays scenarios of your own; PROTOCOL.md says how to write one.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example shows what came of it"
)]

mod options;
mod suite;

use std::process::ExitCode;

use tower_relay::message::BoxError;

use self::{
    options::{Action, HELP, Options},
    suite::{
        relay::Foreign,
        report,
        run::{self, Judged},
        scenarios,
    },
};

fn main() -> Result<ExitCode, BoxError> {
    let options = Options::parse(std::env::args_os())?;
    match options.action {
        Action::Help => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Action::PrintScript(name) => {
            let scenario = scenarios::all()
                .into_iter()
                .find(|scenario| scenario.name == *name);
            let scenario = scenario.ok_or_else(|| format!("there is no scenario {name}"))?;
            println!("{}", serde_json::to_string(&scenario.file())?);
            return Ok(ExitCode::SUCCESS);
        }
        Action::Play => {}
    }
    let mut scenarios = options.scenarios()?;
    let judged = if let Some(relay) = options.relay {
        let foreign = Foreign {
            relay,
            listen: options.listen,
            patience: options.patience,
        };
        foreign.play(&scenarios, |judged| {
            let kind = if judged.row.streamed {
                "streamed"
            } else {
                "whole"
            };
            println!(
                "{} ({kind}): {judged}, {} calls",
                judged.row.scenario, judged.row.upstream_calls
            );
        })?
    } else {
        let mut judged = run::in_memory(&scenarios)?;
        scenarios.retain(|scenario| scenario.on_sockets);
        judged.extend(run::on_sockets(&scenarios)?);
        print!("{}", report::table(&judged));
        judged
    };
    if let Some(path) = &options.json {
        report::write_json(path, judged.iter().map(|judged: &Judged| &judged.row))?;
    }
    let faults = report::faults(&judged);
    for fault in &faults {
        eprintln!("not as expected: {fault}");
    }
    println!(
        "\n{} answers, {} not as expected",
        judged.len(),
        faults.len()
    );
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

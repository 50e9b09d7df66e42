//! A migration from one provider to another, from the first measurement to the last request: `cargo run --example migration [-- PAGE.html]`
//!
//! Two demo upstreams stand in for the providers. Time is tokio's own and paused, so that most of an hour passes in seconds: what waits, waits in
//! that time, and all figures are of it. Under a load that never stops the playbook goes through its steps:
//!
//! 1. audit: what the traffic is, and what it would cost at the other provider;
//! 2. shadow: a tenth of the requests is copied there, and the answers are compared, until the guide's gate says yes or no;
//! 3. shift: 0, 25, 50 %, and at 50 % the new provider begins to fail;
//! 4. rollback: by itself; whatever the new provider could not answer, the old one does;
//! 5. recovery, and the shift begins again: 0, 25, 50, 75, 100 %;
//! 6. completion.
//!
//! A second run is the same from the third step on, with a provider that becomes slow instead. The program writes a page with charts, and fails if any client
//! saw an error, as there was always a provider that could have answered.

#![allow(clippy::print_stdout, reason = "a program for people")]

mod load;
mod page;
mod playbook;
mod providers;
mod relay;
mod timeline;

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode};

use playbook::Run;
use providers::Fault;

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    match migrate().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nfailed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn migrate() -> Result<(), AnyError> {
    let path = env::args().nth(1).map(PathBuf::from);
    let path = path.unwrap_or_else(|| PathBuf::from("target/migration.html"));
    #[expect(clippy::disallowed_types, reason = "how long people wait for it")]
    let began = std::time::Instant::now();
    let runs = [
        Run::play("a provider that fails", Fault::Errors, true).await?,
        Run::play("a provider that becomes slow", Fault::Slow, false).await?,
    ];
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, page::Page(&runs).to_string())?;
    println!("\nthe charts are in {}", path.display());
    let (requests, errors) = runs.iter().fold((0, 0), |(requests, errors), run| {
        (requests + run.clients.requests, errors + run.clients.errors)
    });
    let took = began.elapsed().as_secs_f64();
    println!("{requests} requests of clients in {took:.0} s, {errors} of them in vain");
    match runs.iter().find_map(|run| run.clients.first_error.as_ref()) {
        Some(first) => {
            Err(format!("a client saw what the backup could have answered: {first}").into())
        }
        None => Ok(()),
    }
}

//! The command line.

use std::{ffi::OsString, fs, net::SocketAddr, path::PathBuf, time::Duration};

use http::Uri;
use lexopt::{Arg, Parser, ValueExt};
use tower_relay::message::BoxError;

use crate::suite::{
    scenarios::{self, Scenario},
    script::ScriptFile,
};

pub(crate) const HELP: &str = "\
What becomes of an answer whose upstream fails.

Usage: fault_suite [OPTIONS]

Plays every scenario to four stacks of tower-relay, streamed and not, mostly in paused time, and prints what a caller sees.

Options:
      --scenario TEXT         Only those whose name contains TEXT
      --upstream-script FILE  Only the scenario in FILE, which the suite does not know; examples/fault_suite/PROTOCOL.md
                              says what it may say; may be given several times
      --print-script NAME     Print a scenario as such a file, and end
      --json FILE             Write a line of JSON for each answer: scenario, stack, streamed, status, body (its last
                              64 KiB), complete (it ended as its framing says), upstream_calls, elapsed_ms (tokio's time)
      --relay URL             Play to the relay at URL instead, in real time: point its upstream at http://ADDR/v1
      --listen ADDR           Where that relay finds its upstream [default: 127.0.0.1:9099]
      --patience SECONDS      How long that relay has for each answer [default: 120]
  -h, --help                  Print this

Exit codes: 0 when all is as expected, 1 otherwise.
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) action: Action,
    pub(crate) json: Option<PathBuf>,
    pub(crate) relay: Option<Uri>,
    pub(crate) listen: SocketAddr,
    pub(crate) patience: Duration,
    named: Option<String>,
    scripts: Vec<PathBuf>,
}

#[derive(Debug)]
pub(crate) enum Action {
    Play,
    PrintScript(String),
    Help,
}

impl Options {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, BoxError> {
        let mut options = Self {
            action: Action::Play,
            json: None,
            relay: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 9099)),
            patience: Duration::from_secs(120),
            named: None,
            scripts: Vec::new(),
        };
        let mut parser = Parser::from_iter(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("scenario") => options.named = Some(parser.value()?.string()?),
                Arg::Long("upstream-script") => options.scripts.push(parser.value()?.into()),
                Arg::Long("print-script") => {
                    options.action = Action::PrintScript(parser.value()?.string()?);
                }
                Arg::Long("json") => options.json = Some(parser.value()?.into()),
                Arg::Long("relay") => options.relay = Some(parser.value()?.parse()?),
                Arg::Long("listen") => options.listen = parser.value()?.parse()?,
                Arg::Long("patience") => {
                    options.patience = Duration::from_secs(parser.value()?.parse()?);
                }
                Arg::Short('h') | Arg::Long("help") => options.action = Action::Help,
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(options)
    }

    /// What is to be played.
    pub(crate) fn scenarios(&self) -> Result<Vec<Scenario>, BoxError> {
        let mut scenarios = if self.scripts.is_empty() {
            scenarios::all()
        } else {
            Vec::new()
        };
        for path in &self.scripts {
            let file = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let file: ScriptFile = serde_json::from_slice(&file)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            scenarios.push(Scenario::from_file(&file));
        }
        if let Some(text) = &self.named {
            scenarios.retain(|scenario| scenario.name.contains(text));
        }
        Ok(scenarios)
    }
}

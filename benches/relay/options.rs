//! What the command line asks for.

use lexopt::{Arg, Parser, ValueExt};

pub(crate) const USAGE: &str = "usage: cargo bench --bench relay -- [WORKLOAD...] [--requests N] [--rounds N] \
                                [--connections N] [--quick] [--json]";

#[derive(Debug)]
pub(crate) struct Options {
    /// Rounds of each proxy.
    pub(crate) rounds: u32,
    /// Keep-alive connections, each with one request under way.
    pub(crate) connections: u32,
    pub(crate) json: bool,
    scale: Scale,
    workloads: Vec<String>,
}

#[derive(Debug)]
enum Scale {
    Full,
    Tenth,
    /// This many requests in a round, whatever the workload.
    Fixed(u32),
}

impl Options {
    /// One tiny round that shows that the bench still works; its figures mean nothing.
    pub(crate) fn smoke() -> Self {
        Self {
            rounds: 1,
            connections: 2,
            json: false,
            scale: Scale::Fixed(8),
            workloads: Vec::new(),
        }
    }

    pub(crate) fn parse(args: &[&str]) -> Result<Self, lexopt::Error> {
        let mut parser = Parser::from_args(args);
        let mut rounds = None;
        let mut options = Self {
            rounds: 0,
            connections: 16,
            json: false,
            scale: Scale::Full,
            workloads: Vec::new(),
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("requests") => {
                    options.scale = Scale::Fixed(parser.value()?.parse_with(positive)?);
                }
                Arg::Long("rounds") => rounds = Some(parser.value()?.parse_with(positive)?),
                Arg::Long("connections") => {
                    options.connections = parser.value()?.parse_with(positive)?;
                }
                Arg::Long("quick") => options.scale = Scale::Tenth,
                Arg::Long("json") => options.json = true,
                Arg::Long("bench") => {}
                Arg::Value(workload) => options.workloads.push(workload.string()?),
                other => return Err(other.unexpected()),
            }
        }
        options.rounds = rounds.unwrap_or(if matches!(options.scale, Scale::Tenth) {
            4
        } else {
            10
        });
        Ok(options)
    }

    /// Requests in a round of a workload that has `default` of them in a full run.
    pub(crate) fn requests(&self, default: u32) -> u32 {
        match self.scale {
            Scale::Full => default,
            Scale::Tenth => default / 10,
            Scale::Fixed(requests) => requests,
        }
    }

    /// Whether the workload was named, or none was.
    pub(crate) fn selects(&self, workload: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|name| name == workload)
    }
}

fn positive(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

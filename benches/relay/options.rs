//! What the command line asks for.

use lexopt::{Arg, Parser, ValueExt};

use crate::workload::Workload;

pub(crate) const USAGE: &str = "usage: cargo bench --bench relay -- [WORKLOAD...] [--requests N] [--rounds N] \
                                [--connections N] [--quick] [--program | --six | --all] [--others] [--json]";

#[derive(Debug)]
pub(crate) struct Options {
    /// Rounds of each proxy.
    pub(crate) rounds: u32,
    pub(crate) json: bool,
    /// The role that is compared to the bare proxy.
    pub(crate) gateway: &'static str,
    /// Whether proxies by others take part, as far as they are installed.
    pub(crate) others: bool,
    scale: Scale,
    connections: Option<u32>,
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
            json: false,
            gateway: "gateway",
            others: false,
            scale: Scale::Fixed(8),
            connections: Some(2),
            workloads: Vec::new(),
        }
    }

    pub(crate) fn parse(args: &[&str]) -> Result<Self, lexopt::Error> {
        let mut parser = Parser::from_args(args);
        let mut rounds = None;
        let mut options = Self {
            rounds: 20,
            json: false,
            gateway: "gateway",
            others: false,
            scale: Scale::Full,
            connections: None,
            workloads: Vec::new(),
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("rounds") => rounds = Some(parser.value()?.parse_with(positive)?),
                Arg::Long("requests") => {
                    options.scale = Scale::Fixed(parser.value()?.parse_with(positive)?);
                }
                Arg::Long("connections") => {
                    options.connections = Some(parser.value()?.parse_with(positive)?);
                }
                Arg::Long("program") => options.gateway = "program",
                Arg::Long("six") => options.gateway = "six",
                Arg::Long("all") => options.gateway = "all",
                Arg::Long("others") => options.others = true,
                Arg::Long("json") => options.json = true,
                Arg::Long("quick") => {
                    options.scale = Scale::Tenth;
                    options.rounds = 4;
                }
                Arg::Long("bench") => {}
                Arg::Value(workload) => options.workloads.push(workload.string()?),
                other => return Err(other.unexpected()),
            }
        }
        options.rounds = rounds.unwrap_or(options.rounds);
        Ok(options)
    }

    /// Requests to each proxy in a round.
    pub(crate) fn requests(&self, workload: &Workload) -> u32 {
        match self.scale {
            Scale::Full => workload.requests,
            Scale::Tenth => workload.requests / 10,
            Scale::Fixed(requests) => requests,
        }
    }

    /// Keep-alive connections, each with one request under way.
    pub(crate) fn connections(&self, workload: &Workload) -> u32 {
        self.connections.unwrap_or(workload.connections)
    }

    /// Whether the workload was named, or none was and it need not be.
    pub(crate) fn selects(&self, workload: &Workload) -> bool {
        let is_named = self.workloads.iter().any(|name| name == workload.name);
        is_named || self.workloads.is_empty() && !workload.on_request
    }
}

fn positive(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

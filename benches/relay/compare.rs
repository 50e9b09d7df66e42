//! One workload on all proxies in turn.

use std::sync::Arc;
use std::time::Duration;

use crate::child::{Pins, Role};
use crate::load::{Asks, Connections, Seen};
use crate::options::Options;
use crate::others::{self, Other, Running};
use crate::procfs::{self, CpuClock};
use crate::workload::Workload;

/// A round is cut into this many turns of each proxy, so that what else the machine does falls on all alike.
const TURNS: u32 = 8;

/// Turns before the first that counts: connections and buffers find their sizes.
const WARM_UP: u32 = 2;

/// Requests, one at a time, after which a proxy has made what it keeps for all of them.
const FIRST: u32 = 2;

/// The figures of one workload.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) workload: Arc<Workload>,
    pub(crate) connections: u32,
    pub(crate) pinned: bool,
    /// The bare proxy, the gateway, and the others, each with its rounds in their order.
    pub(crate) proxies: Vec<Measured>,
}

/// All rounds of one proxy.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    /// Requests in a round.
    pub(crate) requests: u32,
    pub(crate) rounds: Vec<Round>,
}

/// One proxy in one round.
#[derive(Debug)]
pub(crate) struct Round {
    /// CPU time of the proxy.
    pub(crate) cpu: Duration,
    pub(crate) clock: CpuClock,
    pub(crate) seen: Seen,
    /// Resident memory of the proxy at its highest, in KiB.
    pub(crate) peak_rss: Option<u64>,
    /// The same after the first of its callers.
    pub(crate) idle_rss: Option<u64>,
}

/// A proxy, the connections to it, and what it has cost so far.
struct Contender {
    process: Process,
    connections: Connections,
    /// Requests in a turn.
    requests: u32,
    clock: CpuClock,
    cpu: Duration,
    seen: Seen,
    idle_rss: Option<u64>,
}

/// What is kept running.
enum Process {
    Role(Role),
    Other(Running),
}

impl Process {
    fn pid(&self) -> u32 {
        match self {
            Self::Role(role) => role.pid(),
            Self::Other(running) => running.pid(),
        }
    }
}

/// Who takes part.
#[derive(Clone, Copy)]
enum Proxy {
    Role {
        name: &'static str,
        role: &'static str,
    },
    Other(&'static Other),
}

impl Proxy {
    fn name(self) -> &'static str {
        match self {
            Self::Role { name, .. } => name,
            Self::Other(other) => other.name,
        }
    }

    /// Requests in a turn, of which a role gets `requests`.
    fn share(self, requests: u32) -> u32 {
        match self {
            Self::Role { .. } => requests,
            Self::Other(other) => requests.div_ceil(other.divisor),
        }
    }

    /// Starts it before `upstream`, and warms it up.
    async fn start(self, upstream: &Role, cpus: Option<&str>, load: &Load) -> Contender {
        let (process, asks) = match self {
            Self::Role { role, .. } => {
                let role = Role::start(&[role, &upstream.address], cpus);
                let asks = Asks::of(&role.address);
                (Process::Role(role), asks)
            }
            Self::Other(other) => {
                let (running, asks) = other.start(&upstream.address, cpus).await;
                (Process::Other(running), asks)
            }
        };
        // What a program makes for itself when it is first asked is no connection's.
        let mut first = Connections::open(asks.clone(), 1).await;
        first
            .send(&load.workload, FIRST, &mut Seen::default())
            .await;
        let idle_rss = procfs::peak_rss(process.pid());
        let mut connections = Connections::open(asks, load.connections).await;
        let requests = self.share(load.requests);
        connections
            .send(&load.workload, requests * WARM_UP, &mut Seen::default())
            .await;
        Contender {
            clock: CpuClock::finest(process.pid()),
            process,
            connections,
            requests,
            cpu: Duration::ZERO,
            seen: Seen::default(),
            idle_rss,
        }
    }
}

impl Contender {
    async fn turn(&mut self, load: &Load) {
        let before = self.clock.read(self.process.pid());
        self.connections
            .send(&load.workload, self.requests, &mut self.seen)
            .await;
        // The kernel brings a running thread's time up to date only at its ticks, so let the proxy fall asleep first.
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.cpu += self.clock.read(self.process.pid()).saturating_sub(before);
    }

    fn finish(self) -> Round {
        Round {
            cpu: self.cpu,
            clock: self.clock,
            seen: self.seen,
            peak_rss: procfs::peak_rss(self.process.pid()),
            idle_rss: self.idle_rss,
        }
    }
}

/// What one turn sends.
struct Load {
    workload: Arc<Workload>,
    requests: u32,
    connections: u32,
}

/// Sends each proxy the same number of requests in each round; those that take long, a share of it.
pub(crate) async fn run(workload: &Workload, options: &Options, pins: Option<&Pins>) -> Comparison {
    let load = Load {
        workload: Arc::new(workload.clone()),
        requests: options.requests(workload).div_ceil(TURNS),
        connections: options.connections(workload),
    };
    let (proxy, rest) = pins
        .map(|pins| (pins.proxy.as_str(), pins.rest.as_str()))
        .unzip();
    let mut proxies = vec![
        Proxy::Role {
            name: "bare",
            role: "bare",
        },
        Proxy::Role {
            name: "gateway",
            role: options.gateway,
        },
    ];
    if options.others {
        proxies.extend(others::taking(workload).map(Proxy::Other));
    }
    let mut measured: Vec<Measured> = proxies
        .iter()
        .map(|proxy| Measured {
            name: proxy.name(),
            requests: proxy.share(load.requests) * TURNS,
            rounds: Vec::new(),
        })
        .collect();
    for round in 0..options.rounds {
        // A process keeps for life what chance gave it (where its memory lies, how its connections are tuned), and
        // that moves its figures by some percent in every turn. So each round starts all of them anew.
        let upstream = Role::start(&["upstream"], rest);
        let mut contenders = Vec::new();
        for each in &proxies {
            contenders.push(each.start(&upstream, proxy, &load).await);
        }
        for turn in 0..TURNS {
            // Turned round every time, so that a machine that slows down or warms up favours nobody.
            let mut order: Vec<&mut Contender> = contenders.iter_mut().collect();
            if (round + turn) % 2 == 1 {
                order.reverse();
            }
            for contender in order {
                contender.turn(&load).await;
            }
        }
        for (contender, measured) in contenders.into_iter().zip(&mut measured) {
            measured.rounds.push(contender.finish());
        }
    }
    Comparison {
        workload: load.workload,
        connections: load.connections,
        pinned: pins.is_some(),
        proxies: measured,
    }
}

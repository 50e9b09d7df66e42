//! One workload on both proxies in turn.

use std::sync::Arc;
use std::time::Duration;

use crate::child::{Pins, Role};
use crate::load::{Connections, Seen};
use crate::options::Options;
use crate::procfs::{self, CpuClock};
use crate::workload::Workload;

/// A round is cut into this many turns of each proxy, so that what else the machine does falls on both alike.
const TURNS: u32 = 8;

/// Turns before the first that counts: connections and buffers find their sizes.
const WARM_UP: u32 = 2;

/// The figures of one workload.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) workload: Arc<Workload>,
    /// Requests to each proxy in a round.
    pub(crate) requests: u32,
    pub(crate) connections: u32,
    pub(crate) pinned: bool,
    pub(crate) rounds: Vec<Pair>,
}

/// Both proxies, turn by turn.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) bare: Round,
    pub(crate) gateway: Round,
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
    /// The same before anybody called.
    pub(crate) idle_rss: Option<u64>,
}

/// A proxy, the connections to it, and what it has cost so far.
struct Contender {
    role: Role,
    connections: Connections,
    clock: CpuClock,
    cpu: Duration,
    seen: Seen,
    idle_rss: Option<u64>,
}

impl Contender {
    /// Starts a proxy and warms it up with `requests` requests.
    async fn start(
        role: &str,
        upstream: &Role,
        cpus: Option<&str>,
        load: &Load,
        requests: u32,
    ) -> Self {
        let role = Role::start(&[role, &upstream.address], cpus);
        let idle_rss = procfs::peak_rss(role.pid());
        let mut connections = Connections::open(&role.address, load.connections).await;
        connections
            .send(&load.workload, requests, &mut Seen::default())
            .await;
        let clock = CpuClock::finest(role.pid());
        Self {
            role,
            connections,
            clock,
            cpu: Duration::ZERO,
            seen: Seen::default(),
            idle_rss,
        }
    }

    async fn turn(&mut self, load: &Load) {
        let before = self.clock.read(self.role.pid());
        self.connections
            .send(&load.workload, load.requests, &mut self.seen)
            .await;
        // The kernel brings a running thread's time up to date only at its ticks, so let the proxy fall asleep first.
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.cpu += self.clock.read(self.role.pid()).saturating_sub(before);
    }

    fn finish(self) -> Round {
        Round {
            cpu: self.cpu,
            clock: self.clock,
            seen: self.seen,
            peak_rss: procfs::peak_rss(self.role.pid()),
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

/// Sends both proxies the same number of requests in each round.
pub(crate) async fn run(workload: &Workload, options: &Options, pins: Option<&Pins>) -> Comparison {
    let load = Load {
        workload: Arc::new(workload.clone()),
        requests: options.requests(workload).div_ceil(TURNS),
        connections: options.connections(workload),
    };
    let (proxy, rest) = pins
        .map(|pins| (pins.proxy.as_str(), pins.rest.as_str()))
        .unzip();
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        // A process keeps for life what chance gave it (where its memory lies, how its connections are tuned), and
        // that moves its figures by some percent in every turn. So each round starts all of them anew.
        let upstream = Role::start(&["upstream"], rest);
        let warm_up = load.requests * WARM_UP;
        let mut bare = Contender::start("bare", &upstream, proxy, &load, warm_up).await;
        let mut gateway = Contender::start(options.gateway, &upstream, proxy, &load, warm_up).await;
        for turn in 0..TURNS {
            // Swapped every time, so that a machine that slows down or warms up favours neither.
            let order = if (round + turn) % 2 == 0 {
                [&mut bare, &mut gateway]
            } else {
                [&mut gateway, &mut bare]
            };
            for contender in order {
                contender.turn(&load).await;
            }
        }
        rounds.push(Pair {
            bare: bare.finish(),
            gateway: gateway.finish(),
        });
    }
    let Load {
        workload,
        requests,
        connections,
    } = load;
    Comparison {
        workload,
        requests: requests * TURNS,
        connections,
        pinned: pins.is_some(),
        rounds,
    }
}

//! One workload on both proxies in turn.

use std::sync::Arc;
use std::time::Duration;

use crate::child::{Pins, Role};
use crate::load::{Connections, Seen};
use crate::options::Options;
use crate::procfs::{self, CpuClock};
use crate::workload::Workload;

/// A proxy is measured after a `1/WARM_UP` of a round's requests, when its connections and buffers have their sizes.
const WARM_UP: u32 = 4;

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

/// Both proxies, one right after the other.
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
}

/// A proxy, and the connections to it.
struct Contender {
    role: Role,
    connections: Connections,
}

impl Contender {
    async fn start(role: &str, upstream: &Role, connections: u32, cpus: Option<&str>) -> Self {
        let role = Role::start(&[role, &upstream.address], cpus);
        let connections = Connections::open(&role.address, connections).await;
        Self { role, connections }
    }

    async fn round(&mut self, workload: &Arc<Workload>, requests: u32) -> Round {
        self.connections
            .send(workload, requests.div_ceil(WARM_UP))
            .await;
        let clock = CpuClock::finest(self.role.pid());
        let before = self.cpu(clock).await;
        let seen = self.connections.send(workload, requests).await;
        let cpu = self.cpu(clock).await.saturating_sub(before);
        Round {
            cpu,
            clock,
            seen,
            peak_rss: procfs::peak_rss(self.role.pid()),
        }
    }

    /// The kernel brings a running thread's time up to date only at its ticks, so let the proxy fall asleep first.
    async fn cpu(&self, clock: CpuClock) -> Duration {
        tokio::time::sleep(Duration::from_millis(10)).await;
        clock.read(self.role.pid())
    }
}

/// Sends both proxies the same number of requests in each round.
pub(crate) async fn run(workload: &Workload, options: &Options, pins: Option<&Pins>) -> Comparison {
    let workload = Arc::new(workload.clone());
    let requests = options.requests(&workload);
    let connections = options.connections(&workload);
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        // A process keeps for life what chance gave it (where its memory lies, how its connections are tuned), and
        // that moves its figures by some percent in every round. So each round starts all of them anew.
        let upstream = Role::start(&["upstream"], pins.map(|pins| pins.rest.as_str()));
        let cpus = pins.map(|pins| pins.proxy.as_str());
        let mut bare = Contender::start("bare", &upstream, connections, cpus).await;
        let mut gateway = Contender::start("gateway", &upstream, connections, cpus).await;
        // Swapped every round, so that a machine that slows down or warms up favours neither.
        let (bare, gateway) = if round % 2 == 0 {
            let bare = bare.round(&workload, requests).await;
            (bare, gateway.round(&workload, requests).await)
        } else {
            let gateway = gateway.round(&workload, requests).await;
            (bare.round(&workload, requests).await, gateway)
        };
        rounds.push(Pair { bare, gateway });
    }
    Comparison {
        workload,
        requests,
        connections,
        pinned: pins.is_some(),
        rounds,
    }
}

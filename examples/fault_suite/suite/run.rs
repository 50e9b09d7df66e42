//! Plays scenarios to relays, and judges what came of it.

use std::{net::Ipv4Addr, sync::Arc, thread, time::Duration};

use serde::Serialize;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    time::{Instant, sleep},
};
use tower_relay::message::BoxError;

use super::{
    answer,
    ask::{Seen, ask, chat},
    check::{Content, Shown, shown},
    connect::Connect,
    gauge::Gauge,
    scenarios::{Case, Expected, Scenario},
    script::Script,
    stacks::{EXTRA, Layers, Pace, Relay},
    upstream::Upstream,
};

/// The most that a relay may hold of an answer, in bytes: the megabyte of JSON that may be held back, and the buffers of
/// four connections' ends.
const MOST_HELD: u64 = 4 << 20;
/// How many requests are made once the upstream is well again.
const AFTERWARDS: usize = 3;

/// What came of one scenario, one stack, one kind of answer.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) row: Row,
    pub(crate) shown: Shown,
    /// What was not as expected.
    pub(crate) faults: Vec<String>,
}

/// A line of the report.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) stack: &'static str,
    pub(crate) streamed: bool,
    pub(crate) status: Option<u16>,
    pub(crate) body: String,
    pub(crate) complete: bool,
    pub(crate) upstream_calls: usize,
    pub(crate) elapsed_ms: u64,
}

/// What a cell of the matrix is about.
#[derive(Debug, Clone, Copy)]
struct Cell<'a> {
    scenario: &'a Scenario,
    layers: Layers,
    streamed: bool,
    on_sockets: bool,
}

/// Plays every one of `scenarios` to every stack, streamed and not, in the order of the matrix.
pub(crate) fn matrix(scenarios: &[Scenario]) -> Result<Vec<Outcome>, BoxError> {
    let mut cells = Vec::new();
    for scenario in scenarios {
        for layers in Layers::ALL {
            for streamed in [false, true] {
                cells.push(Cell {
                    scenario,
                    layers,
                    streamed,
                    on_sockets: false,
                });
            }
        }
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = cells.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let cells = cells.iter().skip(thread).step_by(threads);
                scope.spawn(move || cells.map(|cell| cell.run()).collect::<Vec<_>>())
            })
            .collect();
        let mut columns: Vec<_> = Vec::new();
        for thread in threads {
            let outcomes = thread.join().map_err(|_| "a scenario panicked")?;
            columns.push(outcomes.into_iter());
        }
        let mut rows = Vec::new();
        for _ in 0..share {
            for column in &mut columns {
                if let Some(outcome) = column.next() {
                    rows.push(outcome?);
                }
            }
        }
        Ok(rows)
    })
}

impl Cell<'_> {
    fn run(&self) -> Result<Outcome, BoxError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(!self.on_sockets)
            .build()?;
        runtime.block_on(self.play())
    }

    fn pace(&self) -> Pace {
        if self.on_sockets {
            Pace::REAL
        } else {
            Pace::PAUSED
        }
    }

    async fn play(&self) -> Result<Outcome, BoxError> {
        let Case {
            script,
            content,
            plan,
        } = self.scenario.case(self.streamed);
        let gauge = Arc::new(Gauge::default());
        let primary = Upstream::new(script.clone(), &gauge);
        let backup = Upstream::new(Script::healthy(), &gauge);
        let relay = Relay::new(
            self.layers,
            self.pace(),
            chat(self.streamed).len(),
            self.connect(&primary).await?,
            self.connect(&backup).await?,
        )?;
        let patience = self.pace().patience;
        let seen = ask(&relay, self.layers, self.streamed, patience, &gauge).await;
        let calls = (primary.calls(), backup.calls());
        let shown = shown(&seen, content);

        let mut faults = Vec::new();
        if gauge.most() > MOST_HELD {
            faults.push(format!("held {} bytes", gauge.most()));
        }
        if let Some(expected) = plan.of(self.layers) {
            faults.extend(self.compare(&expected, &seen, &shown, calls));
            let extra = relay.budget.available();
            if extra + calls.0.saturating_sub(1) as u64 != u64::from(EXTRA) {
                faults.push(format!("{extra} extra attempts are left"));
            }
            if !idle([&primary, &backup]).await {
                faults.push("an attempt goes on after its end".to_owned());
            }
            faults.extend(self.afterwards(&relay, &primary, &backup, &gauge).await);
        }
        Ok(Outcome {
            row: Row::new(
                self.scenario.name,
                self.layers.as_str(),
                self.streamed,
                &seen,
                calls.0 + calls.1,
            ),
            shown,
            faults,
        })
    }

    async fn connect(&self, upstream: &Arc<Upstream>) -> Result<Connect, BoxError> {
        if !self.on_sockets {
            return Ok(Connect::in_memory(upstream));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(Arc::clone(upstream).listen(listener));
        Ok(Connect::by_sockets(upstream, address))
    }

    fn compare(
        &self,
        expected: &Expected,
        seen: &Seen,
        shown: &Shown,
        calls: (usize, usize),
    ) -> Vec<String> {
        let mut faults = Vec::new();
        if !shown.is(expected.outcome) {
            faults.push(format!("{shown}, not {:?}", expected.outcome));
        }
        if calls != expected.calls {
            faults.push(format!("{calls:?} calls, not {:?}", expected.calls));
        }
        // Real time depends on the machine.
        if !self.on_sockets && seen.elapsed > expected.within {
            faults.push(format!("{:?}, not {:?}", seen.elapsed, expected.within));
        }
        faults
    }

    /// With the upstream well again, everything must be as before: what is still held would show.
    async fn afterwards(
        &self,
        relay: &Relay,
        primary: &Upstream,
        backup: &Upstream,
        gauge: &Gauge,
    ) -> Vec<String> {
        sleep(self.pace().open * 2).await;
        primary.play(Script::healthy());
        backup.play(Script::healthy());
        let mut faults = Vec::new();
        for _ in 0..AFTERWARDS {
            let seen = ask(
                relay,
                self.layers,
                self.streamed,
                self.pace().patience,
                gauge,
            )
            .await;
            let shown = shown(&seen, &Content::Text(answer::text()));
            if shown != Shown::Answer {
                faults.push(format!("afterwards: {shown}"));
            }
        }
        let calls = (primary.calls(), backup.calls());
        if calls != (AFTERWARDS, 0) {
            faults.push(format!("afterwards: {calls:?} calls"));
        }
        faults
    }
}

/// Whether the upstreams have no call to work on, soon at least.
async fn idle(upstreams: [&Arc<Upstream>; 2]) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        if upstreams.iter().all(|upstream| upstream.busy() == 0) {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

impl Row {
    pub(crate) fn new(
        scenario: &str,
        stack: &'static str,
        streamed: bool,
        seen: &Seen,
        calls: usize,
    ) -> Self {
        Self {
            scenario: scenario.to_owned(),
            stack,
            streamed,
            status: seen.status,
            body: String::from_utf8_lossy(&seen.tail).into_owned(),
            complete: seen.status.is_some() && seen.end == super::ask::End::Clean,
            upstream_calls: calls,
            elapsed_ms: u64::try_from(seen.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

//! Plays scenarios to relays, and judges what came of it.

use std::{fmt, net::Ipv4Addr, sync::Arc, thread, time::Duration};

use serde::Serialize;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    time::{Instant, sleep},
};
use tower_relay::message::BoxError;

use super::{
    answer,
    ask::{End, Seen, ask, chat},
    check::{Content, Shown, shown},
    connect::Connect,
    gauge::Gauge,
    scenarios::{Case, Expected, Scenario},
    script::Script,
    stacks::{EXTRA, Layers, Pace, Relay},
    upstream::Upstream,
};

/// How many requests are made once the upstream is well again.
const AFTERWARDS: usize = 3;

/// What came of one scenario, one stack, one kind of answer.
#[derive(Debug)]
pub(crate) struct Judged {
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

/// One field of the matrix.
#[derive(Debug, Clone)]
struct Cell {
    name: String,
    case: Case,
    layers: Layers,
    streamed: bool,
    on_sockets: bool,
}

/// Plays `scenarios` to every stack, streamed and not, over connections in memory and in paused time.
pub(crate) fn in_memory(scenarios: &[Scenario]) -> Result<Vec<Judged>, BoxError> {
    let cells = cells(scenarios, false);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut judged = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let share = cells.iter().enumerate().skip(thread).step_by(threads);
                scope.spawn(move || {
                    share
                        .map(|(index, cell)| Ok((index, cell.run()?)))
                        .collect()
                })
            })
            .collect();
        let mut judged = Vec::new();
        for thread in threads {
            let share: Result<Vec<_>, BoxError> =
                thread.join().map_err(|_| "a scenario panicked")?;
            judged.extend(share?);
        }
        Ok::<_, BoxError>(judged)
    })?;
    judged.sort_by_key(|(index, _)| *index);
    Ok(judged.into_iter().map(|(_, judged)| judged).collect())
}

/// Plays those of `scenarios` that need a kernel over real connections and in real time, all at once.
pub(crate) fn on_sockets(scenarios: &[Scenario]) -> Result<Vec<Judged>, BoxError> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let cells = cells(scenarios, true).into_iter();
        let playing: Vec<_> = cells.map(|cell| tokio::spawn(cell.play())).collect();
        let mut judged = Vec::new();
        for cell in playing {
            judged.push(cell.await??);
        }
        Ok(judged)
    })
}

fn cells(scenarios: &[Scenario], on_sockets: bool) -> Vec<Cell> {
    let scenarios = scenarios
        .iter()
        .filter(|scenario| scenario.on_sockets || !on_sockets);
    let mut cells = Vec::new();
    for scenario in scenarios {
        for layers in Layers::ALL {
            cells.extend([false, true].map(|streamed| Cell {
                name: scenario.name.clone(),
                case: scenario.case(streamed).clone(),
                layers,
                streamed,
                on_sockets,
            }));
        }
    }
    cells
}

impl Cell {
    fn run(&self) -> Result<Judged, BoxError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        runtime.block_on(self.clone().play())
    }

    fn pace(&self) -> Pace {
        if self.on_sockets {
            Pace::REAL
        } else {
            Pace::PAUSED
        }
    }

    async fn play(self) -> Result<Judged, BoxError> {
        let Case {
            script,
            content,
            plan,
        } = &self.case;
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
        if gauge.most() > most_held(self.layers) {
            faults.push(format!("held {} bytes", gauge.most()));
        }
        if self.layers != Layers::Bare {
            faults.extend(match plan {
                Some(plan) => self.compare(&plan.of(self.layers), &seen, &shown, calls),
                None => self.judge(&seen, &shown),
            });
            let left = relay.budget.available();
            let extra = (calls.0 + calls.1).saturating_sub(1) as u64;
            if left + extra != u64::from(EXTRA) {
                faults.push(format!("{extra} extra attempts, {left} of {EXTRA} left"));
            }
            if !idle([&primary, &backup]).await {
                faults.push("an attempt goes on after its end".to_owned());
            }
            faults.extend(relay.held.rest());
            let billed = relay.held.attempts() as usize;
            if self.layers == Layers::Full && billed != calls.0 + calls.1 {
                faults.push(format!(
                    "{calls:?} calls, and {billed} attempts on the bill"
                ));
            }
            faults.extend(self.afterwards(&relay, &primary, &backup, &gauge).await);
            faults.extend(relay.held.rest());
        }
        let name = if self.on_sockets {
            format!("{}, by the kernel", self.name)
        } else {
            self.name.clone()
        };
        let stack = self.layers.as_str();
        Ok(Judged {
            row: Row::new(&name, stack, self.streamed, &seen, calls.0 + calls.1),
            shown,
            faults,
        })
    }

    /// What nobody has foreseen may come to anything that a caller may see, in time.
    fn judge(&self, seen: &Seen, shown: &Shown) -> Vec<String> {
        let late = seen.elapsed > self.pace().deadline;
        let late = late.then(|| format!("{:?}", seen.elapsed));
        // Only where an answer is too long to be held back until it is whole is there nothing better than to break it.
        let broken = *shown == Shown::Broken && (self.streamed || seen.length < 1 << 20);
        let broken = broken.then(|| "broken".to_owned());
        late.into_iter()
            .chain(broken)
            .chain(shown.wrong())
            .collect()
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

/// The most that a relay may hold of an answer, in bytes: the megabyte of JSON that may be held back, and what is on its way in the buffers
/// of four ends of connections; 16 MiB more where events, or answers, are looked at as a whole to normalize them.
fn most_held(layers: Layers) -> u64 {
    match layers {
        Layers::Full => 20 << 20,
        _ => 4 << 20,
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

impl Judged {
    /// What came of something that may come to anything that a caller may see.
    pub(crate) fn of_any(row: Row, shown: Shown) -> Self {
        let faults = shown.wrong().into_iter().collect();
        Self { row, shown, faults }
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
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
            complete: seen.status.is_some() && seen.end == End::Clean,
            upstream_calls: calls,
            elapsed_ms: u64::try_from(seen.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

//! The steps of a migration.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower_relay::{
    audit::ReportBuilder,
    ledger::{JsonlAudit, Ledger, read_files},
    message::catalog::Cost,
    shadow::{Comparison, Gate, Report, Verdict},
    traffic_split::rollout::{Rollout, RolloutEvent, RolloutState},
};

use crate::{
    AnyError,
    load::{Clients, Load},
    providers::{Fault, Provider},
    relay::{NEW, OLD, Relay, prices},
    timeline::{Timeline, Watch, minutes, usd},
};

/// Between two points of the charts.
const STEP: Duration = Duration::from_secs(10);
const AUDIT: Duration = Duration::from_secs(3 * 60);
const STAGE: Duration = Duration::from_secs(2 * 60);
/// The stage in whose middle the fault begins.
const FAULTY_STAGE: usize = 2;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(45 * 60);

/// A run that went as it should, and what there is to see of it.
pub(crate) struct Run {
    pub(crate) title: &'static str,
    pub(crate) timeline: Timeline,
    pub(crate) clients: Clients,
    /// Figures for the page: what, and how much.
    pub(crate) figures: Vec<(&'static str, String)>,
}

/// A run under way.
struct Stage {
    began: Instant,
    sampled: Instant,
    watch: Arc<Watch>,
    load: Load,
    relay: Relay,
    new: Provider,
    comparisons: Arc<Mutex<Vec<Comparison>>>,
    events: Arc<Mutex<Vec<RolloutEvent>>>,
    timeline: Timeline,
    figures: Vec<(&'static str, String)>,
}

impl Run {
    /// Plays a migration to a provider that comes to have this `fault`; with or without what comes before the shift.
    pub(crate) async fn play(
        title: &'static str,
        fault: Fault,
        prepares: bool,
    ) -> Result<Self, AnyError> {
        println!("\n== {title}");
        let folder = tempfile::tempdir()?;
        let mut stage = Stage::set(folder.path())?;
        if prepares {
            stage.audit(folder.path()).await?;
            stage.shadow().await?;
        } else {
            stage.wait(STAGE).await;
        }
        stage
            .shift(fault, &folder.path().join("rollout.json"))
            .await?;
        stage.end(title).await
    }
}

impl Stage {
    fn set(folder: &Path) -> Result<Self, AnyError> {
        let old = Provider::new(1, Duration::from_millis(600));
        let new = Provider::new(2, Duration::from_millis(500));
        let (audit, writer) = JsonlAudit::builder(folder.join("audit.jsonl")).build()?;
        let watch = Watch::new(audit);
        let ledger: Arc<dyn Ledger> = Arc::clone(&watch) as _;
        let comparisons = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&comparisons);
        let mut relay = Relay::new(&old, &new, &ledger, move |comparison| {
            lock(&told).push(comparison.clone());
        })?;
        relay.spawn(writer);
        Ok(Self {
            began: Instant::now(),
            sampled: Instant::now(),
            watch,
            load: Load::new(relay.service.clone()),
            relay,
            new,
            comparisons,
            events: Arc::default(),
            timeline: Timeline::default(),
            figures: Vec::new(),
        })
    }

    /// What the traffic is, and what it would cost elsewhere.
    async fn audit(&mut self, folder: &Path) -> Result<(), AnyError> {
        self.say("audit: everything at the incumbent");
        self.wait(AUDIT).await;
        let mut report = ReportBuilder::new(&prices()?, ["llama-4-maverick"])?;
        for record in read_files([folder.join("audit.jsonl")]) {
            report.add(&record?);
        }
        let report = report.finish(0);
        for kind in &report.kinds {
            let (requests, usage) = (kind.sums.requests, &kind.sums.usage);
            let (tokens_in, tokens_out) = (usage.total_input(), usage.total_output());
            println!(
                "          {}: {requests} requests, {tokens_in} tokens in, {tokens_out} out",
                kind.name
            );
        }
        for model in &report.compared {
            let (paid, saved) = (
                report.total.cost_usd,
                model.saved_permille(report.total.cost_usd),
            );
            let saved = f64::from(i32::try_from(saved.unwrap_or(0)).unwrap_or(0)) / 10.0;
            println!(
                "          paid {} USD; {} USD with {}: {saved} % less",
                short(paid),
                short(model.cost),
                model.model
            );
            self.figures
                .push(("saved, by the audit", format!("{saved} %")));
        }
        Ok(())
    }

    /// Copies a tenth of the requests until there are enough to judge by.
    async fn shadow(&mut self) -> Result<(), AnyError> {
        self.say("shadow: 10 % of the requests are copied to the candidate");
        self.relay.shadow.set_percent(10);
        let gate = Gate::default();
        let comparisons = Arc::clone(&self.comparisons);
        self.until("there are enough comparisons", || {
            lock(&comparisons).len() >= gate.min_comparisons
        })
        .await?;
        self.relay.shadow.set_percent(0);
        let report = Report::of(&*lock(&self.comparisons), &gate);
        for line in report.to_string().lines() {
            println!("          {line}");
        }
        self.figures
            .push(("shadow comparisons", report.comparisons.to_string()));
        match report.verdict {
            Verdict::Passed => Ok(()),
            verdict => Err(format!("the shadow does not pass: {verdict}").into()),
        }
    }

    /// Shifts in stages, with a fault at 50 %, and again once that has gone.
    async fn shift(&mut self, fault: Fault, state: &Path) -> Result<(), AnyError> {
        let events = Arc::clone(&self.events);
        let told = move |event: &RolloutEvent| lock(&events).push(event.clone());
        self.say("shift: 0, 25, 50, 75 and 100 % for the candidate");
        let rollout = self.relay.begin(STAGE, state, told)?;
        self.until("the stage of 50 %", || {
            rollout.status().stage == FAULTY_STAGE
        })
        .await?;
        self.wait(STAGE / 2).await;

        let before = self.load.peek();
        self.say(match fault {
            Fault::Slow => "fault: the candidate takes two and a half times as long",
            _ => "fault: two of five requests fail at the candidate",
        });
        self.new.set_fault(fault);
        let began = Instant::now();
        self.until("the rollback", || {
            rollout.status().state == RolloutState::RolledBack
        })
        .await?;
        let took = began.elapsed();
        self.drain_events();
        // Whoever was under way there is answered too.
        self.wait(STAGE / 4).await;
        let after = self.load.peek();
        self.say(&format!(
            "rolled back after {:.1} s: {} requests meanwhile, {} answered by the incumbent in the candidate's place, {} in vain",
            took.as_secs_f64(),
            after.requests - before.requests,
            after.rescued - before.rescued,
            after.errors - before.errors
        ));
        self.figures.push((
            "from fault to rollback",
            format!("{:.1} s", took.as_secs_f64()),
        ));
        self.figures.push((
            "rescued by the incumbent",
            (after.rescued - before.rescued).to_string(),
        ));

        self.new.set_fault(Fault::None);
        self.say("recovery: the candidate is well again");
        self.wait(STAGE / 2).await;
        let before = self.load.peek();
        rollout.resume();
        self.until("the completion", || {
            rollout.status().state == RolloutState::Complete
        })
        .await?;
        self.complete(&rollout, &before).await
    }

    async fn complete(&mut self, rollout: &Rollout, before: &Clients) -> Result<(), AnyError> {
        let share = self.relay.share() * 100.0;
        if share < 100.0 {
            return Err(format!("complete, and the candidate has {share} %").into());
        }
        let shifted = self.load.peek();
        self.wait(STAGE / 2).await;
        let after = self.load.peek();
        let a_thousand = |from: &Clients, to: &Clients| {
            let requests = u32::try_from(to.requests - from.requests).unwrap_or(u32::MAX);
            usd(to.cost.saturating_sub(from.cost)) * 1e3 / f64::from(requests.max(1))
        };
        let (old, new) = (
            a_thousand(&Clients::default(), before),
            a_thousand(&shifted, &after),
        );
        self.say(&format!(
            "complete: a thousand requests cost {new:.4} USD, and {old:.4} before; stage {} of {}",
            rollout.status().stage + 1,
            rollout.status().stages,
        ));
        self.figures
            .push(("1,000 requests before", format!("{old:.4} USD")));
        self.figures
            .push(("1,000 requests after", format!("{new:.4} USD")));
        Ok(())
    }

    async fn end(mut self, title: &'static str) -> Result<Run, AnyError> {
        self.load.stop();
        let clients = self.load.peek();
        self.figures
            .push(("requests", clients.requests.to_string()));
        self.figures.push(("in vain", clients.errors.to_string()));
        self.relay.end().await;
        Ok(Run {
            title,
            timeline: self.timeline,
            clients,
            figures: self.figures,
        })
    }

    /// Lets time pass, and looks at what happens.
    async fn wait(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while Instant::now() < end {
            let next = (self.sampled + STEP).min(end);
            sleep(next.saturating_duration_since(Instant::now())).await;
            self.sample();
        }
    }

    /// The same until something is so.
    async fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), AnyError> {
        let end = Instant::now() + LONG;
        while !is_so() {
            if Instant::now() > end {
                return Err(format!("{what} did not come").into());
            }
            sleep(Duration::from_millis(100)).await;
            self.sample();
        }
        Ok(())
    }

    fn sample(&mut self) {
        self.drain_events();
        if self.sampled.elapsed() >= STEP {
            self.take_down();
        }
    }

    fn take_down(&mut self) {
        self.sampled = Instant::now();
        let (share, clients) = (self.relay.share(), self.load.look());
        self.timeline
            .add(self.began.elapsed(), share, &self.watch, clients);
    }

    /// Says what the rollout has told.
    fn drain_events(&mut self) {
        let events: Vec<_> = lock(&self.events).drain(..).collect();
        for event in events {
            self.say(&event.to_string());
        }
    }

    /// Prints what happens now, with how it stood just before, and notes it for the charts.
    fn say(&mut self, what: &str) {
        if self.sampled.elapsed() >= STEP / 10 {
            self.take_down();
        }
        let minute = minutes(self.began.elapsed());
        let last = self
            .timeline
            .moments
            .last()
            .filter(|last| last.minute < minute + 0.01);
        let figures = last.map(|last| {
            let figures = |of: [Option<f64>; 3], unit| {
                let names = [OLD, NEW, "clients"].into_iter().zip(of);
                let known =
                    names.filter_map(|(name, value)| Some(format!("{name} {:.0} {unit}", value?)));
                known.collect::<Vec<_>>().join(", ")
            };
            let share = self.relay.share() * 100.0;
            let (errors, p95) = (figures(last.errors, "%"), figures(last.p95, "ms"));
            format!("          candidate at {share:.0} % | errors: {errors} | p95: {p95}")
        });
        println!("{minute:6.2} min  {what}");
        if let Some(figures) = figures {
            println!("{figures}");
        }
        let short = what.split(':').next().unwrap_or(what).to_owned();
        self.timeline.events.push((minute, short));
    }
}

fn short(cost: Cost) -> String {
    format!("{:.4}", usd(cost))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

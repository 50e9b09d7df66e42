//! A split, its upstreams, and the rollout that steers it.

use std::{
    convert::Infallible,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::super::{
    ErrorLimit, Rollout, RolloutBuilder, RolloutEvent, RolloutObserverLayer, RolloutState,
};
use super::*;
use crate::{
    client::{Target, Upstreams},
    message::{RequestBody, ResponseBody},
    testing::read,
    traffic_split::{TrafficSplit, TrafficSplitBuilder},
    worker::Worker,
};

/// An upstream that answers with the status that `status` holds.
fn upstream(name: &'static str, status: &Arc<AtomicU16>) -> Target {
    let status = Arc::clone(status);
    let answering = service_fn(move |_: Request<RequestBody>| {
        let mut response = Response::new(ResponseBody::from(name));
        *response.status_mut() = status.load(SeqCst).try_into().unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    Target::new(name, RolloutObserverLayer::new().layer(answering))
}

pub(super) struct Site {
    pub(super) split: TrafficSplit<Target>,
    new: Arc<AtomicU16>,
    folder: tempfile::TempDir,
    events: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub(super) fn new() -> Self {
        let (old, new) = (Arc::new(200.into()), Arc::new(200.into()));
        let all = Upstreams::builder()
            .add(upstream("old", &old))
            .add(upstream("new", &new));
        let split = TrafficSplitBuilder::default().split(&all.build().unwrap());
        Self {
            split: split.unwrap(),
            new,
            folder: tempfile::tempdir().unwrap(),
            events: Arc::default(),
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("rollout.json")
    }

    pub(super) fn rollout(&self) -> (Rollout, Worker) {
        let events = Arc::clone(&self.events);
        RolloutBuilder::guide_a()
            .minimum_requests(50)
            .file(self.file())
            .on_event(move |event| events.lock().unwrap().push(event.to_string()))
            .build(&self.split.handle())
            .unwrap()
    }

    pub(super) async fn ask(&self, requests: usize) {
        for _ in 0..requests {
            let request = Request::post("/v1/chat/completions");
            let request = request.body(RequestBody::json("{}")).unwrap();
            let response = self.split.clone().oneshot(request).await.unwrap();
            read(response).await;
        }
    }

    fn saved(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

/// Lets the worker have its turn.
async fn moment() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_is_rolled_back_at_once_and_a_restart_stays_there() {
    let site = Site::new();
    let (rollout, worker) = site.rollout();
    let worker = tokio::spawn(worker);
    assert_eq!(*site.split.handle().weights(), [90, 10]);
    site.ask(1000).await;
    let status = rollout.status();
    assert_eq!(
        status.targets[0].requests + status.targets[1].requests,
        1000
    );
    site.new.store(500, SeqCst);
    // No turn of the worker lies between the failures and the weights.
    site.ask(200).await;
    assert_eq!(*site.split.handle().weights(), [1, 0]);
    let asked = site.split.handle().counts()[1];
    site.ask(200).await;
    assert_eq!(site.split.handle().counts()[1], asked);
    moment().await;
    let events = site.events();
    assert!(
        events[0].starts_with("new is worse than it may by error_rate"),
        "{events:?}"
    );
    assert_eq!(events[1], "rolled back: the baseline has all requests");
    assert_eq!(site.saved()["state"], "rolled_back");
    worker.abort();

    let (rollout, _worker) = site.rollout();
    assert_eq!(rollout.status().state, RolloutState::RolledBack);
    assert_eq!(*site.split.handle().weights(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_healthy_rollout_goes_through_its_stages_and_a_restart_goes_on_where_it_was() {
    let site = Site::new();
    let (_rollout, worker) = site.rollout();
    let shutdown = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    site.ask(2000).await;
    tokio::time::sleep(45 * MINUTE).await;
    assert_eq!(*site.split.handle().weights(), [70, 30]);
    shutdown.shutdown();
    worker.await.unwrap();
    assert_eq!(site.saved()["stage"], 1);
    let elapsed = site.saved()["elapsed_seconds"].as_u64().unwrap();
    assert!((890..=901).contains(&elapsed), "{elapsed}");

    let (rollout, worker) = site.rollout();
    tokio::spawn(worker);
    assert_eq!(rollout.status().elapsed, Duration::from_secs(elapsed));
    for weights in [[30, 70], [0, 100], [0, 100]] {
        site.ask(500).await;
        tokio::time::sleep(31 * MINUTE).await;
        assert_eq!(*site.split.handle().weights(), weights);
    }
    assert_eq!(rollout.status().state, RolloutState::Complete);
    assert_eq!(site.saved()["state"], "complete");
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_writes_into_the_file_holds_within_a_second_and_nonsense_does_not() {
    let site = Site::new();
    let (rollout, worker) = site.rollout();
    tokio::spawn(worker);
    moment().await;
    let good = fs::read_to_string(site.file()).unwrap();
    fs::write(site.file(), good.replace("\"stage\": 0", "\"stage\": 2")).unwrap();
    moment().await;
    assert_eq!(*site.split.handle().weights(), [30, 70]);
    assert_eq!(site.events(), ["its state was changed by another hand"]);
    fs::write(site.file(), "{ \"stage\": 3").unwrap();
    moment().await;
    assert_eq!(*site.split.handle().weights(), [30, 70]);
    let events = site.events();
    assert!(
        events[0].starts_with("the state that was written for it cannot hold"),
        "{events:?}"
    );
    assert_eq!(events.len(), 1, "said once: {events:?}");
    // What holds is written over it when it next changes.
    rollout.pause();
    moment().await;
    assert_eq!(
        (&site.saved()["state"], &site.saved()["stage"]),
        (&"paused".into(), &2.into())
    );
    fs::remove_file(site.file()).unwrap();
    moment().await;
    assert_eq!(site.saved()["state"], "paused");
}

#[tokio::test(start_paused = true)]
async fn what_is_decided_is_written_down_before_the_next_look() {
    let site = Site::new();
    let (rollout, worker) = site.rollout();
    tokio::spawn(worker);
    moment().await;
    for (decide, state) in [
        (Rollout::pause as fn(&Rollout), "paused"),
        (Rollout::resume, "active"),
        (Rollout::rollback_now, "rolled_back"),
    ] {
        decide(&rollout);
        // As good as no time: of the four looks a second it waits for none.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(site.saved()["state"], state);
    }
    let events = site.events();
    assert_eq!(events.len(), 3, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_broken_is_no_beginning() {
    let site = Site::new();
    fs::write(site.file(), "").unwrap();
    let builder = RolloutBuilder::guide_a().file(site.file());
    let error = builder.build(&site.split.handle()).unwrap_err().to_string();
    assert!(
        error.starts_with("file: ") && error.contains("rollout.json"),
        "{error}"
    );
    assert_eq!(*site.split.handle().weights(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_steers_it_for_the_next_request() {
    let site = Site::new();
    let (rollout, _worker) = site.rollout();
    rollout.force(Some("new")).unwrap();
    site.ask(20).await;
    assert_eq!(site.split.handle().counts(), [0, 20]);
    // What is forced is not judged: nobody asked how it does.
    assert_eq!(rollout.status().targets[1].requests, 0);
    assert!(rollout.force(Some("newer")).is_err());
    rollout.force(None).unwrap();
    rollout.rollback_gradually();
    assert_eq!(*site.split.handle().weights(), [950_000, 50_000]);
    rollout.rollback_now();
    site.ask(20).await;
    assert_eq!(site.split.handle().counts(), [20, 20]);
    rollout.resume();
    assert_eq!(*site.split.handle().weights(), [90, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_judged_by_the_upstream_that_it_stands_for() {
    let (old, new) = (Arc::new(200.into()), Arc::new(500.into()));
    let (primary, backup) = (upstream("new", &new), upstream("old", &old));
    // The simplest of chains: whatever the first says, the second answers.
    let chain = service_fn(move |request: Request<RequestBody>| {
        let (primary, backup) = (primary.clone(), backup.clone());
        async move {
            let mut again = Request::new(request.body().try_clone().unwrap());
            *again.uri_mut() = request.uri().clone();
            again.extensions_mut().clone_from(request.extensions());
            let failed = primary.oneshot(request).await.unwrap();
            assert_eq!(failed.status(), 500);
            backup.oneshot(again).await
        }
    });
    let all = Upstreams::builder()
        .add(upstream("old", &old))
        .add(Target::new("chain", chain));
    let split = TrafficSplitBuilder::default()
        .split(&all.build().unwrap())
        .unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let (rollout, worker) = RolloutBuilder::guide_a()
        .limits(Limits::none().error_rate(ErrorLimit::AtMost(0.01)))
        .judged_by("chain", "new")
        .on_event(move |event| kept.lock().unwrap().push(event.clone()))
        .build(&split.handle())
        .unwrap();
    tokio::spawn(worker);
    for _ in 0..200 {
        let request = Request::post("/v1/chat/completions");
        let request = request.body(RequestBody::json("{}")).unwrap();
        let response = split.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "no caller sees an error");
        read(response).await;
    }
    assert_eq!(rollout.status().state, RolloutState::RolledBack);
    moment().await;
    let seen = seen.lock().unwrap();
    let Some(RolloutEvent::Breached { observed, .. }) = seen.first() else {
        panic!("{seen:?}");
    };
    assert!(
        *observed > 0.99,
        "the backup's answers are not counted: {observed}"
    );
}

//! One rollout of several replicas, on a real server. Where none is installed these tests say so, and pass.

use std::{future::Future, time::Duration};

use ::redis::AsyncCommands;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    super::{Limits, Rollout, RolloutState, TimeLimit, view::Answer},
    bad, good,
};
use crate::{
    client::{Target, Upstreams},
    message::ResponseBody,
    reserve::RedisLimiter,
    testing::{answering, redis_server::Server},
    traffic_split::{
        TrafficSplit, TrafficSplitBuilder,
        rollout::{RolloutBuilder, RolloutEvent, view::Sample},
    },
    worker::ShutdownHandle,
};

/// What an operator does at one replica, or it finds out, is known to all within a second. A single step may take far longer where a machine is busy.
const SOON: Duration = Duration::from_secs(20);

struct Replica {
    split: TrafficSplit<Target>,
    rollout: Rollout,
    worker: JoinHandle<()>,
    end: ShutdownHandle,
    events: std::sync::Arc<std::sync::Mutex<Vec<RolloutEvent>>>,
}

impl Replica {
    fn at(server: &Server) -> Self {
        let store = RedisLimiter::builder(server.url()).build().unwrap().0;
        let target = |name| {
            Target::new(
                name,
                answering(|_| http::Response::new(ResponseBody::empty())),
            )
        };
        let all = Upstreams::builder().add(target("old")).add(target("new"));
        let split = TrafficSplitBuilder::default()
            .split(&all.build().unwrap())
            .unwrap();
        let events = std::sync::Arc::<std::sync::Mutex<Vec<_>>>::default();
        let told = std::sync::Arc::clone(&events);
        let (rollout, worker) = RolloutBuilder::guide_a()
            .limits(Limits::default().p95(TimeLimit::Off))
            .replicas(&store, "moving")
            .on_event(move |event| told.lock().unwrap().push(event.clone()))
            .build(&split.handle())
            .unwrap();
        Self {
            split,
            rollout,
            end: worker.shutdown_handle(),
            worker: tokio::spawn(worker),
            events,
        }
    }

    fn weights(&self) -> Vec<u32> {
        self.split.handle().weights().to_vec()
    }

    fn state(&self) -> RolloutState {
        self.rollout.status().state
    }

    /// An attempt at a target ends.
    fn saw(&self, target: usize, sample: &Sample) {
        self.rollout.saw(target, sample);
    }

    async fn end(self) {
        self.end.shutdown();
        timeout(Duration::from_secs(20), self.worker)
            .await
            .unwrap()
            .unwrap();
    }
}

async fn soon(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "it takes too long");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn with_server<F: Future<Output = ()>>(run: impl FnOnce(Server) -> F) {
    if let Some(server) = Server::start() {
        run(server).await;
    }
}

#[tokio::test]
async fn what_an_operator_does_at_one_replica_all_do() {
    with_server(async |server| {
        let (one, other) = (Replica::at(&server), Replica::at(&server));
        // Until it is known where the rollout stands, the baseline has everything.
        assert_eq!(one.weights(), [1, 0]);
        for replica in [&one, &other] {
            soon(|| replica.weights() == [90, 10]).await;
        }
        one.rollout.pause();
        soon(|| other.state() == RolloutState::Paused).await;
        other.rollout.resume();
        soon(|| one.state() == RolloutState::Active).await;
        one.rollout.force(Some("new")).unwrap();
        soon(|| other.split.handle().forced().is_some()).await;
        other.rollout.rollback_now();
        soon(|| one.weights() == [1, 0] && one.split.handle().forced().is_none()).await;
        one.rollout.resume();
        soon(|| other.weights() == [90, 10]).await;
        let edits = |replica: &Replica| {
            let events = replica.events.lock().unwrap();
            events
                .iter()
                .filter(|event| **event == RolloutEvent::Edited)
                .count()
        };
        // One for each step that came from over there: what is written now and then is none.
        soon(|| (edits(&one), edits(&other)) == (2, 3)).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!((edits(&one), edits(&other)), (2, 3));
    })
    .await;
}

#[tokio::test]
async fn a_step_at_one_replica_is_one_at_all_within_a_second() {
    with_server(async |server| {
        let (one, other) = (Replica::at(&server), Replica::at(&server));
        for replica in [&one, &other] {
            soon(|| replica.weights() == [90, 10]).await;
        }
        let mut took = Vec::new();
        for (at, elsewhere) in [(&one, &other), (&other, &one)] {
            for step in 0..16 {
                // Everything that a replica decides: an operator's steps, and going back from a breach.
                let (expected, weights) = match step % 4 {
                    0 => (RolloutState::Paused, [90, 10]),
                    2 => (RolloutState::RolledBack, [1, 0]),
                    _ => (RolloutState::Active, [90, 10]),
                };
                let began = Instant::now();
                match step % 4 {
                    0 => at.rollout.pause(),
                    2 => {
                        while at.state() == RolloutState::Active {
                            at.saw(1, &bad(Answer::Failed));
                        }
                    }
                    _ => at.rollout.resume(),
                }
                let is_there = || elsewhere.state() == expected && elsewhere.weights() == weights;
                soon(is_there).await;
                took.push(began.elapsed());
                // At any time between two looks.
                sleep(Duration::from_millis(37 * (step % 7))).await;
            }
        }
        took.sort_unstable();
        let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
        println!(
            "{} steps known at another replica: median {median:?}, slowest {slowest:?}",
            took.len()
        );
        // Half of them: single ones are the machine's.
        assert!(median < Duration::from_secs(1), "{took:?}");
    })
    .await;
}

#[tokio::test]
async fn a_state_that_cannot_hold_is_neither_a_beginning_nor_written_over() {
    with_server(async |server| {
        let key = "tower-relay:rollouts:{moving}:state";
        let mut connection = server.connect().await;
        let () = connection.set(key, "{ \"stage\": ").await.unwrap();
        let one = Replica::at(&server);
        let refused = || {
            let events = one.events.lock().unwrap();
            let refused =
                |event: &&RolloutEvent| matches!(event, RolloutEvent::StateRefused { .. });
            events.iter().filter(refused).count()
        };
        soon(|| refused() > 0).await;
        sleep(Duration::from_millis(600)).await;
        assert_eq!((refused(), one.weights()), (1, vec![1, 0]));
        let text: String = connection.get(key).await.unwrap();
        assert_eq!(text, "{ \"stage\": ");
        // An operator mends it by hand.
        let mended = r#"{"schema":1,"state":"paused","stage":1,"targets":["old","new"]}"#;
        let () = connection.set(key, mended).await.unwrap();
        soon(|| one.weights() == [70, 30]).await;
        assert_eq!(one.state(), RolloutState::Paused);
    })
    .await;
}

#[tokio::test]
async fn a_breach_at_one_replica_takes_all_back() {
    with_server(async |server| {
        let (one, other) = (Replica::at(&server), Replica::at(&server));
        soon(|| other.weights() == [90, 10]).await;
        soon(|| one.weights() == [90, 10]).await;
        for _ in 0..10 {
            one.saw(1, &bad(Answer::Failed));
        }
        assert_eq!(one.weights(), [1, 0]);
        soon(|| other.weights() == [1, 0]).await;
        assert_eq!(other.state(), RolloutState::RolledBack);
    })
    .await;
}

#[tokio::test]
async fn attempts_of_all_replicas_count_together() {
    with_server(async |server| {
        let replicas = [
            Replica::at(&server),
            Replica::at(&server),
            Replica::at(&server),
        ];
        for replica in &replicas {
            soon(|| replica.weights() == [90, 10]).await;
            // Two are never enough.
            replica.saw(1, &bad(Answer::Failed));
            replica.saw(1, &bad(Answer::Failed));
            replica.saw(0, &good(Duration::from_millis(100)));
        }
        for replica in &replicas {
            soon(|| replica.weights() == [1, 0]).await;
        }
        let requests = |replica: &Replica| replica.rollout.status().targets[0].requests;
        for replica in &replicas {
            soon(|| requests(replica) == 3).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was_and_knows_what_it_knew() {
    with_server(async |server| {
        let one = Replica::at(&server);
        soon(|| one.weights() == [90, 10]).await;
        one.rollout.pause();
        one.saw(1, &bad(Answer::Failed));
        one.saw(1, &bad(Answer::Failed));
        one.end().await;

        let again = Replica::at(&server);
        soon(|| again.state() == RolloutState::Paused).await;
        assert_eq!(again.weights(), [90, 10]);
        again.saw(1, &bad(Answer::Failed));
        again.saw(1, &bad(Answer::Failed));
        assert_eq!(again.state(), RolloutState::RolledBack);
    })
    .await;
}

#[tokio::test]
async fn without_the_server_each_goes_on_by_itself_and_it_learns_all_when_it_is_back() {
    with_server(async |mut server| {
        let one = Replica::at(&server);
        soon(|| one.weights() == [90, 10]).await;
        server.stop();
        let kept = || {
            let events = one.events.lock().unwrap();
            events
                .iter()
                .filter(|event| matches!(event, RolloutEvent::StateNotKept { .. }))
                .count()
        };
        soon(|| kept() == 1).await;
        for _ in 0..10 {
            one.saw(1, &bad(Answer::Failed));
        }
        assert_eq!(one.weights(), [1, 0]);
        // One that begins now knows nothing, and leaves all with the baseline.
        let other = Replica::at(&server);
        sleep(Duration::from_millis(600)).await;
        assert_eq!((kept(), other.weights()), (1, vec![1, 0]));
        server.restart();
        let end = Instant::now() + Duration::from_secs(20);
        while other.state() != RolloutState::RolledBack && Instant::now() < end {
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(
            (one.state(), other.state()),
            (RolloutState::RolledBack, RolloutState::RolledBack)
        );
    })
    .await;
}

//! One rollout of several gateways that share a store.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};
use tower_relay::traffic_split::rollout::{RolloutState, RolloutStatus};

use crate::{
    harness::{chat, demo, nobody, post, send, within_a_second},
    operators::{TOKEN, Watched},
    redis_server::Server,
};

/// Two gateways before the same upstreams, with one rollout.
async fn two(server: &Server, old: SocketAddr, new: SocketAddr) -> [Watched; 2] {
    let upstream = |name: &str, address| {
        format!(
            "[[upstreams]]\nname = {name:?}\nbase_url = \"http://{address}/v1\"\n\
             credential = {{ env = \"DEMO_KEY\" }}\nmodels = [\"demo-small\"]\n"
        )
    };
    let config = format!(
        "[store]\nredis = {:?}\n[admin]\ntokens = {{ ops = {{ env = \"ADMIN_TOKEN\" }} }}\n\
         [[routes]]\nname = \"safe\"\nmodels = [\"none\"]\nfallback = {{ targets = [\"new\", \"old\"] }}\n\
         [[routes]]\nname = \"moving\"\nsplit = {{ targets = [\"old\", \"safe\"] }}\n\
         rollout = {{ stages = [[50, 50], [0, 100]] }}\n{}{}",
        server.url(),
        upstream("old", old),
        upstream("new", new),
    );
    let replicas = [Watched::start(&config).await, Watched::start(&config).await];
    for replica in &replicas {
        until(replica, RolloutState::Active, 50).await;
    }
    replicas
}

/// How the rollout stands at this replica.
fn rollout(of: &Watched) -> RolloutStatus {
    of.relay.handles.rollout("moving").unwrap().status()
}

/// Waits until the rollout is in this state at this replica; how long that took.
async fn until(replica: &Watched, state: RolloutState, weight: u32) -> Duration {
    let began = Instant::now();
    loop {
        let status = rollout(replica);
        if (status.state, status.targets[1].weight) == (state, weight) {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{status:?}");
        sleep(Duration::from_millis(2)).await;
    }
}

// As `ctl` is waited for on the spot.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_at_one_gateway_the_other_does_within_a_second() {
    let Some(server) = Server::start() else {
        return;
    };
    let ((old, _), (new, _)) = (demo().await, demo().await);
    let [one, other] = two(&server, old, new).await;
    let mut took = Vec::new();
    for (command, state, weight) in [
        ("pause", RolloutState::Paused, 50),
        ("resume", RolloutState::Active, 50),
        ("rollback", RolloutState::RolledBack, 0),
        ("resume", RolloutState::Active, 50),
    ] {
        let (status, _, errors) = one.ctl(&[command, "moving"], TOKEN);
        assert_eq!((status, errors.as_str()), (Some(0), ""));
        took.push(until(&other, state, weight).await);
    }
    within_a_second("steps of an operator known at the other gateway", took);
}

#[tokio::test]
async fn what_one_gateway_sees_fail_both_take_back_within_a_second() {
    let Some(server) = Server::start() else {
        return;
    };
    let (old, _) = demo().await;
    let [one, other] = two(&server, old, nobody().await).await;
    for number in 0.. {
        if rollout(&one).state == RolloutState::RolledBack {
            break;
        }
        assert!(number < 1_000, "nothing is found out");
        let mut request = post(
            one.relay.uri("/v1/chat/completions"),
            &chat("demo-small", &json!({})),
        );
        let id = format!("req-{number}").parse().unwrap();
        request.headers_mut().insert("x-relay-request-id", id);
        let got = send(request).await;
        assert_eq!(got.status, 200, "{}", got.text);
    }
    let took = until(&other, RolloutState::RolledBack, 0).await;
    within_a_second("breach at one gateway known at the other", vec![took]);
}

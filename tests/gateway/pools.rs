//! Requests balanced among upstreams, and hedged.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::json;
use tower_relay::{balance::MemberSnapshot, ledger::read_files};

use crate::harness::{Got, Relay, chat, demo, post, scripted, send, soon};

/// A relay with routes over two upstreams.
fn config(a: SocketAddr, b: SocketAddr, routes: &str) -> String {
    let upstream = |name, address| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\n\
             credential = {{ env = \"DEMO_KEY\" }}\naliases = {{ \"fast\" = \"demo-small\" }}\nmodels = [\"fast\"]\n"
        )
    };
    format!("{routes}\n{}{}", upstream("a", a), upstream("b", b))
}

async fn ask(relay: &Relay, body: serde_json::Value) -> Got {
    let got = send(post(
        relay.uri("/v1/chat/completions"),
        &chat("fast", &body),
    ))
    .await;
    assert_eq!(got.status, 200, "{}", got.text);
    got
}

#[tokio::test]
async fn a_pool_spreads_its_requests_and_shows_its_members() {
    let ((a, _), (b, _)) = (demo().await, demo().await);
    // By weights, so that how fast this machine is decides nothing.
    let routes = "[[routes]]\nname = \"pool\"\n\
                  balance = { targets = [\"a\", \"b\"], policy = \"weighted\", weights = [1, 1] }\n";
    let relay = Relay::start(&config(a, b, routes)).await;
    let handle = relay.handles.balance("pool").unwrap();
    let mut asked = BTreeMap::<String, u64>::new();
    for number in 0..200 {
        let got = ask(&relay, json!({"stream": number % 2 == 0})).await;
        let upstream = got.headers["x-relay-upstream"].to_str().unwrap();
        *asked.entry(upstream.to_owned()).or_default() += 1;
        let known =
            |member: &MemberSnapshot| member.first_token.is_some() && member.whole.is_some();
        if handle.snapshot().members.iter().all(known) {
            break;
        }
    }
    let in_flight = || {
        handle
            .snapshot()
            .members
            .iter()
            .any(|one| one.in_flight > 0)
    };
    soon(async {
        // A caller has the last byte a moment before the relay has let go of the answer.
        while in_flight() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for member in handle.snapshot().members {
        assert!(member.first_token.is_some() && member.whole.is_some());
        assert_eq!(member.requests, asked[&*member.name]);
    }
    handle.drain("a").unwrap();
    for _ in 0..5 {
        assert_eq!(
            ask(&relay, json!({})).await.headers["x-relay-upstream"],
            "b"
        );
    }
}

#[tokio::test]
async fn a_silent_upstream_is_hedged_and_both_attempts_are_in_the_audit_once() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl");
    let ((silent, mut asked), (b, _)) = (scripted().await, demo().await);
    let routes = format!(
        "[audit]\npath = {audit:?}\n\
         [[routes]]\nname = \"quick\"\nhedge = {{ targets = [\"a\", \"b\"], delay = \"50ms\" }}\n"
    );
    let mut relay = Relay::start(&config(silent, b, &routes)).await;
    let answering = tokio::spawn(async move {
        let asked = asked.recv().await.unwrap();
        // It opens the stream, which is no output, and then is let go of.
        asked
            .say("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n")
            .await;
        asked.answer.closed().await;
    });
    let got = ask(&relay, json!({"stream": true})).await;
    assert_eq!(got.headers["x-relay-upstream"], "b");
    assert_eq!(got.headers["x-relay-attempts"], "2");
    assert_eq!(got.headers["x-relay-failed-attempts"], "a cancelled");
    assert!(got.text.ends_with("data: [DONE]\n\n"), "{}", got.text);
    answering.await.unwrap();
    assert_eq!(relay.handles.hedge("quick").unwrap().counts().won, 1);

    relay.stop();
    relay.ended().await;
    let records: Vec<_> = read_files([audit]).map(Result::unwrap).collect();
    let mut told: Vec<_> = records
        .iter()
        .map(|record| (&*record.upstream, &*record.outcome))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("a", "cancelled"), ("b", "success")]);
    assert_eq!(records[0].request_id, records[1].request_id);
}

#[tokio::test]
async fn a_hedge_over_a_pool_asks_another_of_its_members() {
    let ((a, _), (b, _)) = (demo().await, demo().await);
    let routes = "[[routes]]\nname = \"quick\"\nhedge = { targets = [\"pool\"], delay = \"20ms\" }\n\
                  [[routes]]\nname = \"pool\"\nbalance = { targets = [\"a\", \"b\"] }\n";
    let relay = Relay::start(&config(a, b, routes)).await;
    let mut request = post(relay.uri("/v1/chat/completions"), &chat("fast", &json!({})));
    request
        .headers_mut()
        .insert("x-demo-delay-ms", "200".parse().unwrap());
    let got = send(request).await;
    assert_eq!(got.headers["x-relay-attempts"], "2");
    let members = relay.handles.balance("pool").unwrap().snapshot().members;
    assert!(members.iter().all(|member| member.requests == 1));
}

#[tokio::test]
async fn who_is_taken_out_and_what_is_switched_off_stay_so_when_the_file_changes() {
    let ((a, _), (b, _)) = (demo().await, demo().await);
    let routes = |max_hedges: usize| {
        format!(
            "[[routes]]\nname = \"quick\"\nhedge = {{ targets = [\"pool\"], max_hedges = {max_hedges} }}\n\
             [[routes]]\nname = \"pool\"\nbalance = {{ targets = [\"a\", \"b\"] }}\n"
        )
    };
    let relay = Relay::start(&config(a, b, &routes(10))).await;
    ask(&relay, json!({})).await;
    let balance = relay.handles.balance("pool").unwrap();
    balance.drain("a").unwrap();
    let hedge = relay.handles.hedge("quick").unwrap();
    hedge.set_enabled(false);
    hedge.set_delay(Some(Duration::from_secs(3)));

    relay.reload(&config(a, b, &routes(20))).unwrap();
    let balance = relay.handles.balance("pool").unwrap();
    let members = balance.snapshot().members;
    assert!(members[0].is_drained && !members[1].is_drained);
    assert_eq!(members.iter().map(|member| member.requests).sum::<u64>(), 1);
    let hedge = relay.handles.hedge("quick").unwrap();
    assert!(!hedge.is_enabled());
    assert_eq!(hedge.fixed_delay(), Some(Duration::from_secs(3)));
    assert_eq!(
        ask(&relay, json!({})).await.headers["x-relay-upstream"],
        "b"
    );
}

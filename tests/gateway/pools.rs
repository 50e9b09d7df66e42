//! Requests balanced among upstreams, and hedged.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::json;
use tower_relay::ledger::read_files;

use crate::harness::{Got, Relay, chat, demo, post, scripted, send};

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
    let routes = "[[routes]]\nname = \"pool\"\nbalance = { targets = [\"a\", \"b\"] }\n";
    let relay = Relay::start(&config(a, b, routes)).await;
    let mut asked = BTreeMap::<String, usize>::new();
    for number in 0..30 {
        let got = ask(&relay, json!({"stream": number % 2 == 0})).await;
        let upstream = got.headers["x-relay-upstream"].to_str().unwrap();
        *asked.entry(upstream.to_owned()).or_default() += 1;
    }
    assert!(
        asked.len() == 2 && asked.values().all(|count| *count >= 3),
        "{asked:?}"
    );
    let handle = relay.handles.balance("pool").unwrap();
    for member in handle.snapshot().members {
        assert_eq!(member.requests, asked[&*member.name] as u64);
        assert_eq!(member.in_flight, 0);
        assert!(member.first_token.is_some() && member.whole.is_some());
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

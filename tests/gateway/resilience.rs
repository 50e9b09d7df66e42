//! Failures of an upstream: tried again, then left alone, and told.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use serde_json::json;

use crate::harness::{Got, Relay, caller, chat, demo, post, receive, scripted, send, soon};

async fn ask(relay: &Relay, status: &str) -> Got {
    let mut request = post(
        relay.uri("/v1/chat/completions"),
        &chat("demo-small", &json!({})),
    );
    let headers = request.headers_mut();
    headers.insert("x-demo-status", status.parse().unwrap());
    send(request).await
}

async fn relay(tables: &str) -> Relay {
    let (upstream, _) = demo().await;
    relay_before(upstream, tables).await
}

async fn relay_before(upstream: SocketAddr, tables: &str) -> Relay {
    Relay::start(&format!(
        "[[upstreams]]\nname = \"demo\"\nbase_url = \"http://{upstream}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n{tables}"
    ))
    .await
}

#[tokio::test]
async fn a_failure_is_tried_again_as_configured_and_a_refusal_is_not() {
    let relay = relay(
        "[upstreams.retry]\nattempts = 3\nbackoff = { base = \"1ms\", cap = \"2ms\" }\n\
         [upstreams.timeout.limits]\nhead = \"20s\"",
    )
    .await;
    let failed = ask(&relay, "500").await;
    assert_eq!(failed.status, 500);
    assert_eq!(failed.headers["x-relay-attempts"], "3");
    let refused = ask(&relay, "400").await;
    assert_eq!(refused.status, 400);
    assert!(!refused.headers.contains_key("x-relay-attempts"));
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_is_left_alone() {
    let relay = relay("[upstreams.circuit_breaker]\nconsecutive_failures = 2").await;
    for _ in 0..2 {
        assert_eq!(ask(&relay, "500").await.status, 500);
    }
    let refused = ask(&relay, "500").await;
    assert_eq!(refused.failure(), (503, "circuit_open".to_owned()));
    assert!(refused.headers.contains_key("retry-after"));
}

const RETRIED: &str =
    "[upstreams.retry]\nattempts = 3\nbackoff = { base = \"1ms\", cap = \"2ms\" }\n";
const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";

#[tokio::test]
async fn an_error_as_the_first_event_is_tried_again_and_counts_against_the_upstream() {
    let relay = relay(&format!(
        "{RETRIED}[upstreams.circuit_breaker]\nconsecutive_failures = 3\n[upstreams.commit_guard]"
    ))
    .await;
    let ask = || {
        let request = chat("demo-small", &json!({"stream": true}));
        let mut request = post(relay.uri("/v1/chat/completions"), &request);
        let headers = request.headers_mut();
        headers.insert("x-demo-error-event", "0".parse().unwrap());
        send(request)
    };
    let failed = ask().await;
    assert!(failed.status.is_server_error(), "{}", failed.status);
    assert_eq!(failed.headers["x-relay-attempts"], "3");
    assert_eq!(failed.headers["content-type"], "application/json");
    assert!(failed.json()["error"]["message"].is_string());
    let refused = ask().await;
    assert_eq!(refused.failure(), (503, "circuit_open".to_owned()));
}

#[tokio::test]
async fn a_stream_that_fails_early_is_made_good_by_the_next_attempt() {
    let (upstream, mut asked) = scripted().await;
    let relay = relay_before(upstream, &format!("{RETRIED}[upstreams.commit_guard]")).await;
    let request = chat("demo-small", &json!({"stream": true}));
    let request = post(relay.uri("/v1/chat/completions"), &request);
    let answering = tokio::spawn(caller().request(request));

    let first = soon(asked.recv()).await.unwrap();
    first.say(": PROCESSING\n\n").await;
    first
        .say("data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n")
        .await;
    let second = soon(asked.recv()).await.unwrap();
    second.say(HELLO).await;
    second.say("data: [DONE]\n\n").await;
    drop(second);
    let got = receive(soon(answering).await.unwrap().unwrap()).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.text, format!("{HELLO}data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_that_is_cut_later_ends_with_an_error_and_counts_against_the_upstream() {
    let (upstream, mut asked) = scripted().await;
    let tables = "[upstreams.circuit_breaker]\nconsecutive_failures = 1\n[upstreams.commit_guard]";
    let relay = relay_before(upstream, tables).await;
    let ask = || {
        let request = chat("demo-small", &json!({"stream": true}));
        caller().request(post(relay.uri("/v1/chat/completions"), &request))
    };
    let answering = tokio::spawn(ask());
    let first = soon(asked.recv()).await.unwrap();
    first.say(HELLO).await;
    let mut body = soon(answering).await.unwrap().unwrap().into_body();
    drop(first);
    let mut read = Vec::new();
    let broken = loop {
        match soon(body.frame()).await {
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    let text = String::from_utf8(read).unwrap();
    let event = text.strip_prefix(HELLO).unwrap();
    assert!(event.starts_with("data: {\"error\":{"), "{event}");
    assert!(
        event.contains("upstream_truncated") && !event.contains("[DONE]"),
        "{event}"
    );
    assert!(broken, "it ended cleanly");
    let refused = receive(soon(ask()).await.unwrap()).await;
    assert_eq!(refused.failure(), (503, "circuit_open".to_owned()));
}

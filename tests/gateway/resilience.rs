//! Failures of an upstream: tried again, then left alone.

use serde_json::json;

use crate::harness::{Got, Relay, chat, demo, post, send};

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

//! Failures of an upstream: tried again, then left alone; and callers who ask too much.

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

#[tokio::test]
async fn callers_are_limited_by_their_key_and_told_so() {
    let (upstream, _) = demo().await;
    let relay = Relay::start(&format!(
        "[rate_limit]\nlimits = [{{ requests = 2, per = \"1h\" }}]\n\
         [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{upstream}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n[upstreams.rate_limit]\nlearn = true"
    ))
    .await;
    let ask = async |key: &str| {
        let body = chat("demo-small", &json!({}));
        let mut request = post(relay.uri("/v1/chat/completions"), &body);
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        send(request).await
    };
    for left in ["1", "0"] {
        let answered = ask("sk-one").await;
        assert_eq!(answered.status, 200);
        assert_eq!(answered.headers["x-ratelimit-remaining-requests"], left);
    }
    let refused = ask("sk-one").await;
    assert_eq!(refused.failure(), (429, "rate_limit_exceeded".to_owned()));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(ask("sk-two").await.status, 200);
}

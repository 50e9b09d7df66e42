//! Failures of an upstream: tried again, left alone, told, and made good by the next; and callers who ask too much.

use std::{net::SocketAddr, time::Duration};

use http_body_util::BodyExt;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use crate::harness::{Got, Relay, caller, chat, demo, get, post, receive, scripted, send, soon};

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

/// An address at which connections are refused: it was free a moment ago.
async fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A way to `upstream` that is closed, with every connection on it, when the task is aborted.
async fn killable(upstream: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let passing = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut caller, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut upstream = TcpStream::connect(upstream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut upstream).await;
            });
        }
    });
    (address, passing)
}

/// A relay that goes from `first` to a demo upstream.
async fn steady(first: SocketAddr, tables: &str) -> Relay {
    let (second, _) = demo().await;
    Relay::start(&format!(
        "[[routes]]\nname = \"steady\"\nfallback = {{ targets = [\"first\", \"second\"] }}\n\
         [[upstreams]]\nname = \"first\"\nbase_url = \"http://{first}/v1\"\nmodels = [\"fast\"]\n{tables}\n\
         [[upstreams]]\nname = \"second\"\nbase_url = \"http://{second}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\naliases = {{ \"fast\" = \"demo-small\" }}\n{tables}"
    ))
    .await
}

fn fast(relay: &Relay) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    post(relay.uri("/v1/chat/completions"), &chat("fast", &json!({})))
}

#[tokio::test]
async fn a_refused_connection_reaches_the_backup_at_once_with_its_own_name_for_the_model() {
    // Retries would wait for a second, and leave it.
    let retry = "[upstreams.retry]\nbackoff = { base = \"1s\", cap = \"1s\", jitter = \"none\" }";
    let relay = steady(refusing().await, retry).await;
    let start = Instant::now();
    let got = send(fast(&relay)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert!(start.elapsed() < Duration::from_millis(500));
    assert_eq!(got.json()["model"], "demo-small");
    assert_eq!(got.headers["x-relay-attempts"], "2");
    assert_eq!(got.headers["x-relay-failed-attempts"], "first transport");
    let stream = chat("fast", &json!({"stream": true}));
    let streamed = send(post(relay.uri("/v1/chat/completions"), &stream)).await;
    assert!(
        streamed.text.ends_with("data: [DONE]\n\n"),
        "{}",
        streamed.text
    );
}

#[tokio::test]
async fn an_upstream_that_ends_under_load_costs_no_caller_an_answer() {
    let (first, _) = demo().await;
    let (proxy, kill) = killable(first).await;
    let (second, _) = demo().await;
    let relay = Relay::start(&format!(
        "[[routes]]\nname = \"steady\"\nfallback = {{ targets = [\"first\", \"second\"] }}\n\
         [[upstreams]]\nname = \"first\"\nbase_url = \"http://{proxy}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         circuit_breaker = {{}}\n\
         [[upstreams]]\nname = \"second\"\nbase_url = \"http://{second}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n"
    ))
    .await;
    let ask = || {
        send(post(
            relay.uri("/v1/chat/completions"),
            &chat("demo-small", &json!({})),
        ))
    };
    let before = ask().await;
    assert_eq!(before.status, 200);
    assert!(!before.headers.contains_key("x-relay-attempts"));
    kill.abort();
    assert!(kill.await.is_err());
    for _ in 0..3 {
        let calls: Vec<_> = (0..16).map(|_| tokio::spawn(ask())).collect();
        for call in calls {
            let got = call.await.unwrap();
            assert_eq!(got.status, 200, "{}", got.text);
            assert_eq!(got.headers["x-relay-attempts"], "2");
        }
    }
}

#[tokio::test]
async fn the_primarys_failure_is_the_answer_when_every_upstream_fails() {
    let relay = steady(refusing().await, "").await;
    let mut request = fast(&relay);
    let headers = request.headers_mut();
    headers.insert("x-demo-status", "500".parse().unwrap());
    let got = send(request).await;
    assert_eq!(got.failure(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(
        got.headers["x-relay-failed-attempts"],
        "second server_error"
    );
}

#[tokio::test]
async fn what_an_upstream_keeps_goes_nowhere_else() {
    let relay = steady(refusing().await, "").await;
    let stored = chat("fast", &json!({"store": true}));
    let got = send(post(relay.uri("/v1/chat/completions"), &stored)).await;
    assert_eq!(got.failure(), (502, "upstream_unreachable".to_owned()));
    assert!(!got.headers.contains_key("x-relay-attempts"));
}

#[tokio::test]
async fn what_a_route_serves_is_listed_once_as_its_first_upstreams() {
    let relay = Relay::start(
        "[[routes]]\nname = \"outer\"\nmodels = [\"fast\", \"both\"]\n\
         fallback = { targets = [\"steady\", \"third\"] }\n\
         [[routes]]\nname = \"steady\"\nfallback = { targets = [\"first\", \"second\"] }\n\
         [[upstreams]]\nname = \"first\"\nbase_url = \"http://a.test\"\nmodels = [\"fast\"]\n\
         [[upstreams]]\nname = \"second\"\nbase_url = \"http://b.test\"\nmodels = [\"fast\", \"own\"]\n\
         [[upstreams]]\nname = \"third\"\nbase_url = \"http://c.test\"\nmodels = [\"last\"]\n",
    )
    .await;
    let list = get(relay.uri("/v1/models")).await.json();
    let listed: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| {
            (
                model["id"].as_str().unwrap(),
                model["owned_by"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("fast", "first"),
            ("both", "first"),
            ("own", "second"),
            ("last", "third")
        ]
    );
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

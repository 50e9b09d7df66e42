//! What a gateway says of its requests: statistics, metrics, headers and traces.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tokio::time::Instant;

use crate::harness::{Relay, caller, chat, demo, post, receive, scripted, send, soon, with_key};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The value of the sample whose line begins so.
fn value<'a>(text: &'a str, sample: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(sample));
    let line = lines.next().unwrap_or_else(|| panic!("{sample} in {text}"));
    line.trim()
}

#[tokio::test]
async fn what_callers_ask_is_counted_and_told_in_headers() {
    let (upstream, _) = demo().await;
    let relay = Relay::with(upstream, "[admission]\n").await;
    let uri = relay.uri("/v1/chat/completions");
    let got = send(post(uri.clone(), &chat("gpt-4.1-mini", &json!({})))).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.headers["x-relay-upstream"], "demo");
    assert!(got.headers.contains_key("x-relay-request-id"));
    let took = got.headers["x-response-time-ms"].to_str().unwrap();
    assert!(took.parse::<u64>().unwrap() < 30_000);
    let stream = json!({"stream": true, "stream_options": {"include_usage": true}});
    send(post(uri.clone(), &chat("gpt-4.1-mini", &stream))).await;
    assert_eq!(
        send(post(uri, &chat("unknown", &json!({})))).await.status,
        404
    );

    let snapshot = relay.handles.stats().snapshot(Instant::now());
    let counts = snapshot.requests.since_start;
    assert_eq!((counts.total, counts.successful, counts.invalid), (3, 2, 1));
    assert_eq!(&*snapshot.series[0].model, "demo-small");
    assert_eq!(snapshot.upstreams[0].outcomes.success, 2);
    assert_eq!(snapshot.upstreams[0].first_token.count, 1);

    let text = relay.handles.prometheus().render();
    let ended =
        "relay_requests_total{relay_end=\"successful\",relay_endpoint=\"chat_completions\"}";
    assert_eq!(value(&text, ended), "2", "{text}");
    let refused =
        "relay_refusals_total{relay_layer=\"model_rewrite\",relay_reason=\"model_not_found\"}";
    assert_eq!(value(&text, refused), "1");
    let attempts = "relay_attempt_duration_seconds_count{gen_ai_request_model=\"demo-small\",relay_outcome=\"success\",relay_upstream=\"demo\"}";
    assert_eq!(value(&text, attempts), "2");
    assert_eq!(
        value(&text, "relay_queue_length{relay_layer=\"admission\"}"),
        "0"
    );
    assert_eq!(value(&text, "relay_requests_in_flight"), "0");
    assert!(text.contains("gen_ai_request_model=\"gpt-4.1-mini\",gen_ai_response_model"));
    assert!(!text.contains("unknown"), "{text}");
}

#[tokio::test]
async fn refusals_are_counted_wherever_they_were_made() {
    let (upstream, _) = demo().await;
    let more = "[admin]\n[edge]\nmax_body = 300\n";
    let relay = Relay::with(upstream, more).await;
    let uri = relay.uri("/v1/chat/completions");
    let long = json!({"user": "x".repeat(400)});
    let got = send(post(uri.clone(), &chat("gpt-4.1-mini", &long))).await;
    assert_eq!(got.status, StatusCode::PAYLOAD_TOO_LARGE);
    for _ in 0..2 {
        let got = send(post(uri.clone(), &chat("unknown", &json!({})))).await;
        assert_eq!(got.status, StatusCode::NOT_FOUND);
        // Read in between, too.
        relay.handles.prometheus().render();
    }
    let text = relay.handles.prometheus().render();
    let large = "relay_refusals_total{relay_layer=\"edge\",relay_reason=\"body_too_large\"}";
    assert_eq!(value(&text, large), "1", "{text}");
    let unknown =
        "relay_refusals_total{relay_layer=\"model_rewrite\",relay_reason=\"model_not_found\"}";
    assert_eq!(value(&text, unknown), "2", "{text}");
}

#[tokio::test]
async fn keys_that_had_to_share_their_limits_are_counted() {
    let (upstream, _) = demo().await;
    let relay = Relay::with(upstream, "[rate_limit]\nmax_keys = 1\n").await;
    let overflowed = || {
        let text = relay.handles.prometheus().render();
        let sample = "relay_limits_overflowed_total{relay_layer=\"rate_limit\"}";
        value(&text, sample).to_owned()
    };
    for (key, shared) in [("sk-a", "0"), ("sk-b", "1"), ("sk-c", "2")] {
        let request = post(
            relay.uri("/v1/chat/completions"),
            &chat("gpt-4.1-mini", &json!({})),
        );
        let got = send(with_key(request, key)).await;
        assert_eq!(got.status, StatusCode::OK);
        assert_eq!(overflowed(), shared, "{key}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_seen_in_the_metrics() {
    let (upstream, _) = demo().await;
    // Where nobody listens.
    let more = "[store.redis]\nurl = \"redis://127.0.0.1:1/\"\nfailures = 1\nopen_for = \"1h\"\n[rate_limit]\n";
    let relay = Relay::with(upstream, more).await;
    for _ in 0..3 {
        let request = post(
            relay.uri("/v1/chat/completions"),
            &chat("gpt-4.1-mini", &json!({})),
        );
        assert_eq!(send(request).await.status, StatusCode::OK);
    }
    let text = relay.handles.prometheus().render();
    for (sample, expected) in [
        ("calls_total{relay_state=\"answered\"}", "0"),
        ("calls_total{relay_state=\"failed\"}", "1"),
        ("calls_total{relay_state=\"skipped\"}", "2"),
        ("reservations_total{relay_state=\"local\"}", "3"),
        ("settlements_total{relay_state=\"lost\"}", "0"),
        ("down", "1"),
    ] {
        let sample = format!("relay_store_{sample}");
        assert_eq!(value(&text, &sample), expected, "{sample}");
    }
}

#[tokio::test]
async fn nothing_is_recorded_where_that_is_off() {
    let (upstream, _) = demo().await;
    let relay = Relay::with(upstream, "telemetry = false\n").await;
    let uri = relay.uri("/v1/chat/completions");
    let got = send(post(uri, &chat("gpt-4.1-mini", &json!({})))).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(!got.headers.contains_key("x-response-time-ms"));
    let snapshot = relay.handles.stats().snapshot(Instant::now());
    assert_eq!(snapshot.requests.since_start.total, 0);
}

#[tokio::test]
async fn a_callers_trace_goes_on_at_the_upstream() {
    let (upstream, mut asked) = scripted().await;
    let relay = Relay::before(upstream).await;
    let request = Request::post(relay.uri("/v1/chat/completions"))
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .body(Full::<Bytes>::from(
            chat("gpt-4.1-mini", &json!({"stream": true})).to_string(),
        ))
        .unwrap();
    let asking = tokio::spawn(async move { caller().request(request).await.unwrap() });
    let request = soon(asked.recv()).await.unwrap();
    let sent = request.head.headers["traceparent"].to_str().unwrap();
    assert!(
        sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-01"),
        "{sent}"
    );
    assert!(!sent.contains("00f067aa0ba902b7"), "{sent}");
    request.say("data: [DONE]\n\n").await;
    drop(request);
    receive(soon(asking).await.unwrap()).await;
}

use std::sync::{Arc, Mutex};

use http::HeaderMap;

use super::{super::TelemetryLayer, ANSWER, answer, ask, chat};
use crate::wire::trace_context::TraceContext;

const INCOMING: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The headers that the upstream gets for a caller's.
async fn sent(telemetry: &TelemetryLayer, headers: &[(&'static str, &str)]) -> HeaderMap {
    let mut request = chat("gpt-4.1");
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let kept = Arc::clone(&seen);
    ask(telemetry, request, move |request| {
        kept.lock().unwrap().clone_from(request.headers());
        answer(200, "application/json", ANSWER)
    })
    .await;
    let seen = seen.lock().unwrap();
    seen.clone()
}

fn context(headers: &HeaderMap) -> TraceContext {
    TraceContext::parse(headers["traceparent"].as_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_trace_goes_on_at_the_upstream_under_a_span_of_its_own() {
    let telemetry = TelemetryLayer::new();
    let caller = TraceContext::parse(INCOMING.as_bytes()).unwrap();
    let state = ("tracestate", "vendor=1");
    let first = sent(&telemetry, &[("traceparent", INCOMING), state]).await;
    let second = context(&sent(&telemetry, &[("traceparent", INCOMING)]).await);
    assert_eq!(first["tracestate"], "vendor=1");
    let first = context(&first);
    assert_eq!([first.trace_id, second.trace_id], [caller.trace_id; 2]);
    assert!(first.sampled);
    assert_ne!(first.span_id, caller.span_id);
    assert_ne!(first.span_id, second.span_id);
    let unsampled = INCOMING.replace("-01", "-00");
    assert!(!context(&sent(&telemetry, &[("traceparent", &unsampled)]).await).sampled);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_trace_is_replaced_with_all_that_belongs_to_it() {
    let telemetry = TelemetryLayer::new();
    for wrong in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "garbage",
    ] {
        let wrong = [("traceparent", wrong), ("tracestate", "vendor=1")];
        let headers = sent(&telemetry, &wrong).await;
        context(&headers);
        assert!(!headers.contains_key("tracestate"));
    }
    let twice = [("traceparent", INCOMING), ("traceparent", INCOMING)];
    let headers = sent(&telemetry, &twice).await;
    assert_ne!(
        context(&headers).trace_id,
        TraceContext::parse(INCOMING.as_bytes()).unwrap().trace_id
    );
    assert_eq!(headers.get_all("traceparent").iter().count(), 1);
    let one = context(&sent(&telemetry, &[]).await);
    let other = context(&sent(&telemetry, &[]).await);
    assert_ne!(one.trace_id, other.trace_id);
}

#[tokio::test(start_paused = true)]
async fn upstreams_may_be_told_nothing() {
    let telemetry = TelemetryLayer::builder().propagate(false).build().unwrap();
    let headers = [("traceparent", INCOMING), ("tracestate", "vendor=1")];
    let sent = sent(&telemetry, &headers).await;
    assert!(!sent.contains_key("traceparent") && !sent.contains_key("tracestate"));
}

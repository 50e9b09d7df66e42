use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use super::{
    super::{TelemetryLayer, X_RESPONSE_TIME_MS, conventions},
    ANSWER, STREAM, answer, ask, chat,
    recorded::Recorded,
    upstream,
};
use crate::{
    admission::{AdmissionLayer, Limits},
    client::{Target, Upstreams},
    fallback::FallbackLayer,
    message::{ApiError, Dialect, Reason, Rejection, RequestBody, RequestId, ResponseBody, Trail},
    retry::{Backoff, RetryLayer},
    server::EdgeLayer,
    stats::{RequestCounts, Snapshot, Stats},
    testing::{answering, read},
};

fn snapshot(telemetry: &TelemetryLayer) -> Snapshot {
    telemetry.stats().snapshot(Instant::now())
}

fn counts(telemetry: &TelemetryLayer) -> RequestCounts {
    snapshot(telemetry).requests.since_start
}

#[tokio::test(start_paused = true)]
async fn each_end_of_a_request_has_its_name() {
    let cut = "data: {\"choices\":[{\"delta\":{\"content\":\"the\"}}]}\n\n";
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"overloaded_error\"}}\n\n";
    for (status, media, body, end, what) in [
        (200, "application/json", ANSWER, "successful", None),
        (200, "text/event-stream", STREAM, "successful", None),
        (200, "text/event-stream", cut, "failed", Some("transport")),
        (
            200,
            "text/event-stream",
            error,
            "failed",
            Some("overloaded"),
        ),
        (
            500,
            "application/json",
            "{}",
            "failed",
            Some("server_error"),
        ),
        (
            429,
            "application/json",
            "{}",
            "failed",
            Some("rate_limited"),
        ),
        (
            400,
            "application/json",
            "{}",
            "invalid",
            Some("invalid_request"),
        ),
        (
            401,
            "application/json",
            "{}",
            "failed",
            Some("upstream_auth"),
        ),
    ] {
        let recorded = Recorded::default();
        let _listening = recorded.listen();
        let telemetry = TelemetryLayer::new();
        ask(&telemetry, chat("gpt-4.1"), move |_| {
            answer(status, media, body)
        })
        .await;
        let request = recorded.one(conventions::REQUEST_SPAN);
        assert_eq!(request.get("relay.end"), Some(end), "{status} {body}");
        assert_eq!(request.get("error.type"), what, "{status} {body}");
        assert_eq!(request.get("otel.status_code"), what.map(|_| "ERROR"));
        assert_eq!(counts(&telemetry).total, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_the_requests_fault_unless_it_is_a_model() {
    for (path, end) in [
        ("/v1/chat/completions", "failed"),
        ("/v1/files/x", "invalid"),
        ("/favicon.ico", "invalid"),
    ] {
        let recorded = Recorded::default();
        let _listening = recorded.listen();
        let telemetry = TelemetryLayer::new();
        let mut request = chat("gpt-4.1");
        *request.uri_mut() = path.parse().unwrap();
        // As an edge has it, behind which all paths are observed.
        request.extensions_mut().insert(RequestId::generate());
        ask(&telemetry, request, |_| answer(404, "text/plain", "no")).await;
        let request = recorded.one(conventions::REQUEST_SPAN);
        assert_eq!(request.get("relay.end"), Some(end), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_relay_is_told_from_a_failure() {
    for (reason, end) in [
        (Reason::RateLimited, "rejected"),
        (Reason::BudgetExceeded, "rejected"),
        (Reason::CircuitOpen, "failed"),
        (Reason::InvalidRequest, "invalid"),
        (Reason::ModelNotFound, "invalid"),
        (Reason::Timeout(crate::message::Phase::Head), "failed"),
    ] {
        let recorded = Recorded::default();
        let _listening = recorded.listen();
        let telemetry = TelemetryLayer::new();
        let service = telemetry.layer(answering(move |_| {
            let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "no");
            Rejection::new("limits", reason).into_response(&error, Dialect::OpenAi)
        }));
        read(service.oneshot(chat("gpt-4.1")).await.unwrap()).await;
        let request = recorded.one(conventions::REQUEST_SPAN);
        assert_eq!(request.get("relay.end"), Some(end), "{reason:?}");
        assert_eq!(request.get("error.type"), Some(reason.as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_is_settled_at_once_and_blames_nobody() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::new();
    let never = telemetry.attempts().layer(service_fn(|_| {
        std::future::pending::<Result<Response<ResponseBody>, std::convert::Infallible>>()
    }));
    let mut future = tokio_test::task::spawn(telemetry.layer(never).oneshot(chat("gpt-4.1")));
    assert!(future.poll().is_pending());
    assert_eq!(snapshot(&telemetry).requests.in_flight, 1);
    drop(future);

    let service = telemetry.layer(upstream(telemetry.attempts(), |_| {
        answer(200, "text/event-stream", STREAM)
    }));
    drop(service.oneshot(chat("gpt-4.1")).await.unwrap());

    let seen = snapshot(&telemetry);
    assert_eq!(
        (seen.requests.in_flight, counts(&telemetry).cancelled),
        (0, 2)
    );
    assert_eq!(seen.upstreams[0].outcomes.neutral, 1);
    assert_eq!(seen.requests.since_start.success_rate, None);
    let ends: Vec<_> = recorded
        .spans()
        .iter()
        .filter_map(|span| span.get("error.type").map(str::to_owned))
        .collect();
    assert_eq!(ends, ["cancelled"; 4]);
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_gives_up_makes_a_timeout_and_no_leaver() {
    let telemetry = TelemetryLayer::new();
    let edge = EdgeLayer::builder().deadline(Duration::from_secs(9));
    let service = edge.build().unwrap().layer(telemetry.layer(service_fn(|_| {
        std::future::pending::<Result<Response<ResponseBody>, std::convert::Infallible>>()
    })));
    let answer = service.oneshot(chat("gpt-4.1")).await.unwrap();
    assert_eq!(answer.status(), 504);
    assert_eq!(
        (counts(&telemetry).failed, counts(&telemetry).total),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_applications_own_routes_pass_untouched() {
    let telemetry = TelemetryLayer::new();
    let service = telemetry.layer(answering(|request: http::Request<RequestBody>| {
        assert!(!request.headers().contains_key("traceparent"));
        answer(200, "text/plain", "hello")
    }));
    let mut request = http::Request::get("/hello")
        .body(RequestBody::empty())
        .unwrap();
    let (head, _) = read(service.clone().oneshot(request).await.unwrap()).await;
    assert_eq!((head.headers.len(), counts(&telemetry).total), (1, 0));
    // Unless an edge guards them all, which gives each an id.
    request = http::Request::get("/hello")
        .body(RequestBody::empty())
        .unwrap();
    let edge = EdgeLayer::builder().guard_all(true).build().unwrap();
    let guarded = edge.layer(telemetry.layer(answering(|_| answer(200, "text/plain", "hello"))));
    read(guarded.oneshot(request).await.unwrap()).await;
    assert_eq!(counts(&telemetry).total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_error_is_a_failure() {
    let telemetry = TelemetryLayer::new();
    let broken = service_fn(|_: http::Request<RequestBody>| async {
        Err::<Response<ResponseBody>, _>("broken")
    });
    let service = telemetry.layer(telemetry.attempts().layer(broken));
    assert_eq!(service.oneshot(chat("m")).await.unwrap_err(), "broken");
    assert_eq!(counts(&telemetry).failed, 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_where_they_were_made() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let stats = Stats::default();
    let telemetry = TelemetryLayer::builder().stats(&stats).build().unwrap();
    let bad = upstream(telemetry.attempts(), |_| {
        answer(503, "application/json", "{}")
    });
    let retry = RetryLayer::builder().attempts(2).backoff(Backoff {
        base: Duration::from_millis(100),
        ..Backoff::default()
    });
    let retry = retry.build().unwrap();
    let good = telemetry
        .attempts()
        .layer(answering(|_| answer(200, "application/json", ANSWER)));
    let targets = Upstreams::builder().add(Target::new("backup", good));
    let fallback = FallbackLayer::builder().build(&targets.build().unwrap());
    let service = telemetry.layer(fallback.unwrap().layer(retry.layer(bad)));
    let (head, _) = read(service.oneshot(chat("gpt-4.1")).await.unwrap()).await;
    assert_eq!(head.status, 200);

    let seen = stats.snapshot(Instant::now());
    let of = |name: &str| {
        let mut upstreams = seen.upstreams.iter();
        upstreams
            .find(|upstream| &*upstream.upstream == name)
            .unwrap()
    };
    assert!(of("openai").outcomes.failure >= 1);
    assert_eq!((of("backup").outcomes.success, seen.series.len()), (1, 2));
    assert_eq!(&*seen.series[1].model, "gpt-4.1");
    assert_eq!(counts(&telemetry).successful, 1);
}

#[tokio::test(start_paused = true)]
async fn retries_and_fallbacks_leave_their_trail() {
    let trails = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&trails);
    let bad = answering(move |request: http::Request<RequestBody>| {
        let trail = Trail::find(request.extensions()).cloned().unwrap();
        kept.lock().unwrap().push(trail);
        answer(503, "application/json", "{}")
    });
    let targets = Upstreams::builder().add(Target::new("backup", bad.clone()));
    let fallback = FallbackLayer::builder().build(&targets.build().unwrap());
    let retry = RetryLayer::builder().attempts(3).build().unwrap();
    let service = TelemetryLayer::new().layer(fallback.unwrap().layer(retry.layer(bad)));
    read(service.oneshot(chat("gpt-4.1")).await.unwrap()).await;
    let trails = trails.lock().unwrap();
    let trail = &trails[0];
    let tries = u32::try_from(trails.len()).unwrap();
    assert_eq!(trail.fallbacks(), 1);
    assert_eq!(trail.retries() + trail.fallbacks() + 1, tries);
}

#[tokio::test(start_paused = true)]
async fn time_in_line_is_told_apart() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::new();
    let limits = Limits::new(1, 1);
    let admission = AdmissionLayer::builder().limits(limits).build().unwrap();
    let service =
        telemetry.layer(admission.layer(answering(|_| answer(200, "application/json", ANSWER))));
    let first = service.clone().oneshot(chat("gpt-4.1")).await.unwrap();
    let mut second = tokio_test::task::spawn(service.oneshot(chat("gpt-4.1")));
    assert!(second.poll().is_pending());
    tokio::time::advance(Duration::from_millis(250)).await;
    read(first).await;
    read(second.await.unwrap()).await;
    let queued: Vec<_> = recorded
        .spans()
        .iter()
        .map(|span| span.get("relay.queue.time").map(str::to_owned))
        .collect();
    assert_eq!(queued, [None, Some("0.25".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn answers_carry_what_they_took_and_who_gave_them() {
    let slow = |respond: fn() -> Response<ResponseBody>| {
        service_fn(move |_: http::Request<RequestBody>| async move {
            tokio::time::sleep(Duration::from_millis(1_250)).await;
            Ok::<_, std::convert::Infallible>(respond())
        })
    };
    let telemetry = TelemetryLayer::new();
    let service = telemetry.layer(slow(|| answer(200, "application/json", ANSWER)));
    let (head, _) = read(service.oneshot(chat("m")).await.unwrap()).await;
    assert_eq!(head.headers[X_RESPONSE_TIME_MS], "1250");
    assert_eq!(head.headers["x-relay-request-id"], "req-7");
    assert!(!head.headers.contains_key("x-relay-upstream"));

    let head = ask(&telemetry, chat("m"), |_| {
        answer(200, "application/json", ANSWER)
    })
    .await;
    assert_eq!(head.headers["x-relay-upstream"], "openai");

    let quiet = TelemetryLayer::builder().headers(false).build().unwrap();
    let head = ask(&quiet, chat("m"), |_| {
        answer(200, "application/json", ANSWER)
    })
    .await;
    assert_eq!(head.headers.len(), 1, "{:?}", head.headers);
}

#[tokio::test(start_paused = true)]
async fn a_body_passes_as_it_came() {
    let telemetry = TelemetryLayer::builder().contents(true).build().unwrap();
    let service = telemetry.layer(upstream(telemetry.attempts(), |_| {
        answer(200, "text/event-stream", STREAM)
    }));
    let response = service.oneshot(chat("m")).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, Bytes::from(STREAM));
}

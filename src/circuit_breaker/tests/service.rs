use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, channel::Channel};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::{
    key::{Key, KeyBy, Missing},
    message::{ApiError, Chosen, Reason, Refusal, Rejection, RequestBody, ResponseBody},
    stats::{Availability, Stats},
    testing::{answering, read},
};

fn request(upstream: &str) -> Request<RequestBody> {
    let mut request = Request::post("/v1/chat/completions")
        .body(RequestBody::json("{}"))
        .unwrap();
    request.extensions_mut().insert(Chosen(upstream.into()));
    request
}

fn acme() -> Key {
    Key::named("upstream", "acme")
}

fn with_status(status: u16) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from("{}"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A service whose answers are of the status that was set last.
fn scripted(
    layer: &CircuitBreakerLayer,
) -> (
    impl Service<
        Request<RequestBody>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Send,
    > + Clone,
    Arc<Mutex<u16>>,
) {
    let status = Arc::new(Mutex::new(200));
    let script = Arc::clone(&status);
    let service = layer.layer(answering(move |_| with_status(*script.lock().unwrap())));
    (service, status)
}

fn events(frames: &'static [&'static str]) -> Response<ResponseBody> {
    let body = frames.concat();
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .body(http_body_util::Full::new(Bytes::from(body)))
        .unwrap();
    ResponseBody::wrap(response)
}

fn breaker() -> CircuitBreakerBuilder {
    CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .probes(1)
        .slow_start(Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_with_503_and_the_wait_and_recovers() {
    let layer = breaker().build().unwrap();
    let (service, status) = scripted(&layer);
    *status.lock().unwrap() = 500;
    let send = || service.clone().oneshot(request("acme"));
    assert_eq!(send().await.unwrap().status(), 500);

    let refused = send().await.unwrap();
    let rejection = *refused.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason, Reason::CircuitOpen);
    assert_eq!(rejection.retry_after, Some(secs(10)));
    assert_eq!(
        Outcome::of_head(&refused),
        Some(Outcome::Refused(Refusal::CircuitOpen))
    );
    let (head, text) = read(refused).await;
    assert_eq!(head.status, 503);
    assert_eq!(head.headers["retry-after"], "10");
    assert!(text.contains(r#""code":"circuit_open""#), "{text}");

    *status.lock().unwrap() = 200;
    tokio::time::advance(secs(10)).await;
    let probe = send().await.unwrap();
    assert_eq!(send().await.unwrap().status(), 503, "one probe only");
    assert_eq!(read(probe).await.0.status, 200);
    assert_eq!(layer.handle().state(&acme()), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_body_decides() {
    for (case, frames, opens) in [
        ("complete", &["data: {}\n\n", "data: [DONE]\n\n"][..], false),
        ("cut short", &["data: {\"a\":1}\n\n"][..], true),
        (
            "an error in it",
            &["data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\"}}\n\n"][..],
            true,
        ),
    ] {
        let layer = breaker().build().unwrap();
        let service = layer.layer(answering(move |_| events(frames)));
        let response = service.oneshot(request("acme")).await.unwrap();
        assert_eq!(layer.handle().state(&acme()), CircuitState::Closed);
        let _ = response.into_body().collect().await;
        let state = layer.handle().state(&acme());
        assert_eq!(
            matches!(state, CircuitState::Open { .. }),
            opens,
            "{case}: {state:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_after_the_terminal_event_had_a_success_and_who_leaves_before_said_nothing() {
    for (text, expected) in [
        ("data: [DONE]\n\n", CircuitState::Closed),
        ("data: {}\n\n", CircuitState::HalfOpen),
    ] {
        let layer = breaker().build().unwrap();
        let is_first = Arc::new(AtomicUsize::new(0));
        let senders = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&senders);
        let service = layer.layer(answering(move |_| {
            if is_first.fetch_add(1, SeqCst) == 0 {
                return with_status(500);
            }
            let (sender, body) = Channel::<Bytes, Infallible>::new(2);
            kept.lock().unwrap().push(sender);
            ResponseBody::wrap(
                Response::builder()
                    .header("content-type", "text/event-stream")
                    .body(body)
                    .unwrap(),
            )
        }));
        service.clone().oneshot(request("acme")).await.unwrap();
        tokio::time::advance(secs(10)).await;
        let mut body = service.clone().oneshot(request("acme")).await.unwrap();
        let mut sender = senders.lock().unwrap().pop().unwrap();
        sender
            .send_data(Bytes::from_static(text.as_bytes()))
            .await
            .unwrap();
        body.body_mut().frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(layer.handle().state(&acme()), expected, "{text:?}");
        // Either way the probe's place is free.
        assert_eq!(
            service.oneshot(request("acme")).await.unwrap().status(),
            200
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_dropped_at_any_await_point_frees_its_place() {
    let layer = breaker().build().unwrap();
    let fails = Arc::new(AtomicUsize::new(1));
    let script = Arc::clone(&fails);
    // The head waits once, and the body of an error for ever.
    let service = layer.layer(service_fn(move |_: Request<RequestBody>| {
        let is_ready = script.load(SeqCst) == 1;
        async move {
            if is_ready {
                return Ok::<_, Infallible>(with_status(500));
            }
            tokio::task::yield_now().await;
            let (sender, body) = Channel::<Bytes, Infallible>::new(1);
            let mut response = Response::new(ResponseBody::new(body));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            // The body hangs as long as its sender lives.
            response.extensions_mut().insert(Arc::new(sender));
            Ok(response)
        }
    }));
    service.clone().oneshot(request("acme")).await.unwrap();
    fails.store(0, SeqCst);
    tokio::time::advance(secs(10)).await;
    for polls in 0..3 {
        let mut service = service.clone();
        let mut ready = task::spawn(service.ready());
        assert_ready!(ready.poll()).unwrap();
        drop(ready);
        let mut probe = task::spawn(service.call(request("acme")));
        for _ in 0..polls {
            assert_pending!(probe.poll());
        }
        let refused = service.oneshot(request("acme")).await.unwrap();
        assert_eq!(refused.status(), 503, "{polls}");
        assert_eq!(layer.handle().state(&acme()), CircuitState::HalfOpen);
        drop(probe);
    }
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_concurrent_callers_exactly_so_many_reach_the_upstream() {
    let layer = breaker().probes(5).build().unwrap();
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let service = layer.layer(service_fn(move |_: Request<RequestBody>| {
        let is_first = counter.fetch_add(1, SeqCst) == 0;
        async move {
            if !is_first {
                tokio::time::sleep(secs(1)).await;
            }
            Ok::<_, Infallible>(with_status(if is_first { 500 } else { 200 }))
        }
    }));
    service.clone().oneshot(request("acme")).await.unwrap();
    tokio::time::advance(secs(10)).await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        callers.spawn(service.clone().oneshot(request("acme")));
    }
    let answers = callers.join_all().await;
    let passed = answers
        .into_iter()
        .filter(|answer| answer.as_ref().unwrap().status() == 200)
        .count();
    assert_eq!((reached.load(SeqCst) - 1, passed), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_token_counts_where_it_is_asked_to() {
    for (limit, opens) in [(secs(0), false), (secs(2), true), (secs(4), false)] {
        let layer = breaker().slow_first_token(limit).build().unwrap();
        let service = layer.layer(service_fn(|_: Request<RequestBody>| async {
            tokio::time::sleep(secs(3)).await;
            Ok::<_, Infallible>(events(&[
                "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n",
                "data: [DONE]\n\n",
            ]))
        }));
        read(service.oneshot(request("acme")).await.unwrap()).await;
        let state = layer.handle().state(&acme());
        assert_eq!(
            matches!(state, CircuitState::Open { .. }),
            opens,
            "{limit:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_inner_service_count_and_pass() {
    let layer = breaker().build().unwrap();
    let service = layer.layer(service_fn(|_: Request<RequestBody>| async {
        Err::<Response<ResponseBody>, _>("broken pipe")
    }));
    assert_eq!(
        service.clone().oneshot(request("acme")).await.unwrap_err(),
        "broken pipe"
    );
    assert_eq!(
        service.oneshot(request("acme")).await.unwrap().status(),
        503
    );
}

#[tokio::test(start_paused = true)]
async fn the_operators_own_opinion_decides_here_and_further_out() {
    let ours = |_: StatusCode, _: &http::HeaderMap, _: &ApiError| Some(Outcome::ServerError);
    let layer = breaker().classify(ours).build().unwrap();
    let (service, status) = scripted(&layer);
    *status.lock().unwrap() = 400;
    let response = service.clone().oneshot(request("acme")).await.unwrap();
    assert_eq!(Outcome::of(&response), Some(Outcome::ServerError));
    let refused = service.oneshot(request("acme")).await.unwrap();
    assert_eq!(refused.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn each_upstream_has_a_circuit_and_what_finds_no_room_shares_one() {
    let layer = breaker().max_keys(2).build().unwrap();
    let (service, status) = scripted(&layer);
    let send = |upstream: &'static str| service.clone().oneshot(request(upstream));
    *status.lock().unwrap() = 500;
    assert_eq!(send("a").await.unwrap().status(), 500);
    assert_eq!(send("b").await.unwrap().status(), 500);
    assert_eq!(send("c").await.unwrap().status(), 500);
    assert_eq!(send("d").await.unwrap().status(), 503, "shares that of c");
    assert_eq!(layer.handle().keys().len(), 3);
    layer.handle().reset(&Key::named("upstream", "d"));
    *status.lock().unwrap() = 200;
    assert_eq!(send("c").await.unwrap().status(), 200);
    assert_eq!(send("a").await.unwrap().status(), 503);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_ones_own_may_exempt_or_refuse() {
    let by = KeyBy::api_key();
    for (missing, failing, expected) in [
        (Missing::Exempt, 500, [500, 500]),
        (Missing::Shared, 500, [500, 503]),
        (Missing::Refuse, 500, [401, 401]),
    ] {
        let layer = breaker()
            .by(by.clone().when_missing(missing))
            .build()
            .unwrap();
        let (service, status) = scripted(&layer);
        *status.lock().unwrap() = failing;
        for expected in expected {
            let response = service.clone().oneshot(request("acme")).await.unwrap();
            assert_eq!(response.status(), expected, "{missing:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn availability_is_published_and_the_handle_forces_it() {
    let stats = Stats::default();
    let layer = breaker().stats(&stats).build().unwrap();
    let handle = layer.handle();
    let mut changes = handle.subscribe(&acme());
    let (service, status) = scripted(&layer);
    let send = || service.clone().oneshot(request("acme"));

    *status.lock().unwrap() = 500;
    send().await.unwrap();
    let until = Some(Instant::now() + secs(10));
    let open = Availability::Unavailable { until };
    assert_eq!(changes.changed().await, Some(open));
    assert_eq!(stats.availability("acme").get(), open);

    handle.force_closed(&acme());
    assert_eq!(send().await.unwrap().status(), 500);
    assert_eq!(handle.state(&acme()), CircuitState::ForcedClosed);
    assert_eq!(changes.changed().await, Some(Availability::Available));
    handle.force_open(&acme());
    *status.lock().unwrap() = 200;
    assert_eq!(send().await.unwrap().status(), 503);
    assert_eq!(
        stats.availability("acme").get(),
        Availability::Unavailable { until: None }
    );
    handle.reset(&acme());
    assert_eq!(send().await.unwrap().status(), 200);
    assert_eq!(stats.availability("acme").get(), Availability::Available);
}

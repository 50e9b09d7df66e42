use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

use super::*;
use crate::{
    message::{Deadline, Outcome, Phase, Reason, Rejection, RequestBody, ResponseBody},
    reserve::{AttemptLimit, Attempts, RetryBudget, X_RELAY_ATTEMPTS},
    testing::answering,
};

fn chat() -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .header("idempotency-key", "4711")
        .body(RequestBody::json(r#"{"model":"fast"}"#))
        .unwrap()
}

fn status(status: u16) -> Response<ResponseBody> {
    Response::builder()
        .status(status)
        .body(ResponseBody::empty())
        .unwrap()
}

fn exact(attempts: u32) -> RetryBuilder {
    RetryLayer::builder().attempts(attempts).backoff(Backoff {
        base: Duration::from_secs(1),
        jitter: Jitter::None,
        ..Backoff::default()
    })
}

/// The answer, how many requests it took, and how many seconds.
async fn sent(
    layer: &RetryLayer,
    request: Request<RequestBody>,
    answer: impl Fn(u32) -> Response<ResponseBody> + Clone + Send + 'static,
) -> (Response<ResponseBody>, u32, u64) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |_| {
        let response = answer(counted.fetch_add(1, SeqCst));
        async { Ok::<_, std::convert::Infallible>(response) }
    });
    let start = Instant::now();
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    (response, calls.load(SeqCst), start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_after_growing_waits() {
    let layer = exact(3).build().unwrap();
    let answer = |call| status(if call < 2 { 503 } else { 200 });
    let (response, calls, seconds) = sent(&layer, chat(), answer).await;
    assert_eq!((response.status().as_u16(), calls, seconds), (200, 3, 3));
    assert_eq!(response.headers()[X_RELAY_ATTEMPTS], "3");
    assert_eq!(Attempts::of(&response).unwrap().failed().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_handed_on_with_its_body_when_all_fail() {
    let layer = exact(2).build().unwrap();
    let answer = |call| status(500).map(|_| ResponseBody::from(format!("failure {call}")));
    let (response, calls, _) = sent(&layer, chat(), answer).await;
    assert_eq!((response.status().as_u16(), calls), (500, 2));
    assert_eq!(Outcome::of(&response), Some(Outcome::ServerError));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "failure 1");
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_is_waited_for_and_one_past_the_cap_ends_it() {
    let layer = exact(2).build().unwrap();
    for (after, expected) in [("0", (2, 1)), ("40", (2, 40)), ("61", (1, 0))] {
        let answer = move |_| {
            let mut response = status(429);
            let headers = response.headers_mut();
            headers.insert("retry-after", after.parse().unwrap());
            response
        };
        let (response, calls, seconds) = sent(&layer, chat(), answer).await;
        assert_eq!(response.status(), 429);
        assert_eq!((calls, seconds), expected, "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_not_to_retry_is_not_asked_again() {
    let answer = |_| {
        let mut response = status(500);
        let headers = response.headers_mut();
        headers.insert("x-should-retry", "false".parse().unwrap());
        response
    };
    let (_, calls, _) = sent(&exact(3).build().unwrap(), chat(), answer).await;
    assert_eq!(calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_streams_is_sent_once() {
    let request = Request::post("/v1/chat/completions")
        .body(RequestBody::new(RequestBody::json("{}").boxed()))
        .unwrap();
    let (response, calls, _) = sent(&exact(3).build().unwrap(), request, |_| status(503)).await;
    assert_eq!((response.status().as_u16(), calls), (503, 1));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_the_same_request_with_the_same_bytes() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let slot = Arc::clone(&seen);
    let inner = answering(move |request: Request<RequestBody>| {
        slot.lock().unwrap().push(request);
        status(503)
    });
    let Ok(_) = exact(3).build().unwrap().layer(inner).oneshot(chat()).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for request in &*seen {
        assert_eq!(request.headers()["idempotency-key"], "4711");
        let [bytes, first] = [request, &seen[0]].map(|request| request.body().as_bytes().unwrap());
        assert_eq!(bytes.as_ptr(), first.as_ptr(), "the bytes were copied");
        assert_eq!(
            Deadline::of(request.extensions()),
            Deadline::of(seen[0].extensions())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn layers_that_nest_share_one_limit() {
    let layer = exact(3).build().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let inner = answering(move |_| {
        counted.fetch_add(1, SeqCst);
        status(503)
    });
    let service = layer.layer(exact(3).build().unwrap().layer(inner));
    let Ok(response) = service.clone().oneshot(chat()).await;
    assert_eq!(calls.load(SeqCst), 3);
    assert_eq!(response.headers()[X_RELAY_ATTEMPTS], "3");

    let mut request = chat();
    request.extensions_mut().insert(AttemptLimit::new(2));
    let Ok(_) = service.oneshot(request).await;
    assert_eq!(calls.load(SeqCst), 3 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_bounds_what_all_services_of_a_layer_add() {
    let layer = exact(3).budget(RetryBudget::new(10, 4)).build().unwrap();
    let mut extra = 0;
    for _ in 0..100 {
        // A new service of the layer each time.
        extra += sent(&layer, chat(), |_| status(503)).await.1 - 1;
    }
    assert_eq!(extra, 4 + 10);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_caller_does_not_wait_for_is_not_paid() {
    let layer = exact(3).budget(RetryBudget::new(0, 1)).build().unwrap();
    let inner = answering(|_| status(503));
    let call = layer.layer(inner).oneshot(chat());
    let left = tokio::time::timeout(Duration::from_millis(500), call).await;
    assert!(left.is_err());
    assert_eq!(layer.budget().available(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_begun_that_the_deadline_would_cut() {
    let mut request = chat();
    let deadline = Deadline::after(Duration::from_millis(2500));
    request.extensions_mut().insert(deadline);
    let (response, calls, seconds) =
        sent(&exact(9).build().unwrap(), request, |_| status(503)).await;
    assert_eq!((response.status().as_u16(), calls, seconds), (503, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline_that_the_layer_set() {
    let layer = exact(3).deadline(Duration::from_secs(7)).build().unwrap();
    let silent = service_fn(|_| std::future::pending::<Result<_, std::convert::Infallible>>());
    let start = Instant::now();
    let Ok(response) = layer.layer(silent).oneshot(chat()).await;
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    assert_eq!(response.status(), 504);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason, Reason::Timeout(Phase::Head));
}

#[tokio::test(start_paused = true)]
async fn the_operators_own_opinion_decides() {
    let ours = |_: http::StatusCode, _: &http::HeaderMap, _: &crate::message::ApiError| {
        Some(Outcome::ServerError)
    };
    let layer = exact(3).classify(ours).build().unwrap();
    let (_, calls, _) = sent(&layer, chat(), |_| status(400)).await;
    assert_eq!(calls, 3);
}

#[tokio::test(start_paused = true)]
async fn each_further_attempt_waits_for_readiness() {
    #[derive(Clone)]
    struct Strict(bool);
    impl Service<Request<RequestBody>> for Strict {
        type Response = Response<ResponseBody>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            self.0 = true;
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
            assert!(std::mem::take(&mut self.0), "called unready");
            std::future::ready(Ok(status(503)))
        }
    }
    let Ok(response) = exact(3)
        .build()
        .unwrap()
        .layer(Strict(false))
        .oneshot(chat())
        .await;
    assert_eq!(response.headers()[X_RELAY_ATTEMPTS], "3");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let refused = |builder: RetryBuilder| builder.build().unwrap_err().to_string();
    assert_eq!(refused(exact(0)), "attempts: must be at least 1");
    let backoff = Backoff {
        base: Duration::from_secs(31),
        ..Backoff::default()
    };
    assert_eq!(
        refused(exact(1).backoff(backoff)),
        "backoff.base: must be at most the cap"
    );
    let config = r#"{"attempts": 2, "backoff": {"base": "1s", "jitter": "none"}}"#;
    let read: RetryBuilder = serde_json::from_str(config).unwrap();
    assert_eq!(read.build().unwrap().policy().attempts, 2);
    assert!(serde_json::from_str::<RetryBuilder>(r#"{"attempt": 2}"#).is_err());
}

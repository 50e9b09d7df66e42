use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio_test::{assert_pending, task};

use super::*;
use crate::{
    message::{ApiError, Cached, Dialect, Reason, Rejection, Served, TransportError},
    rate_limit::{OutputEstimate, UnknownUsage},
};

const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";

/// What is used after an answer that `respond` makes, for 0 tokens of input and 500 of output reserved, read to its end or not.
async fn used_after(
    builder: RateLimitBuilder,
    respond: impl Fn(Request<RequestBody>) -> Response<ResponseBody> + Clone,
    reads: bool,
) -> Vec<u64> {
    let layer = builder.build().unwrap();
    let service = layer.layer(answering(respond));
    let response = service.oneshot(chat(500)).await.unwrap();
    if reads {
        let _ = response.into_body().collect().await;
    } else {
        drop(response);
    }
    used(&layer.handle()).await
}

fn stream(text: String) -> Response<ResponseBody> {
    Response::new(ResponseBody::from(text).with_media(Media::EventStream))
}

#[tokio::test(start_paused = true)]
async fn the_real_usage_counts_in_both_directions() {
    let limit = || limited(10, 1_000);
    assert_eq!(used_after(limit(), |_| answer(3, 50), true).await, [1, 53]);
    assert_eq!(
        used_after(limit(), |_| answer(3, 900), true).await,
        [1, 903]
    );
    // A zero that is stated is not "nothing said".
    assert_eq!(used_after(limit(), |_| answer(0, 0), true).await, [1, 0]);
    // A debt is bounded: as much as the limit, unless it is said.
    assert_eq!(
        used_after(limit(), |_| answer(3, 90_000), true).await,
        [1, 2_000]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_flight_from_its_admission_to_the_end_of_its_answer() {
    let layer = limited(2, 1_000).build().unwrap();
    let (handle, service) = (layer.handle(), layer.layer(using(3, 50)));
    let read = service.clone().oneshot(chat(100)).await.unwrap();
    let left = service.clone().oneshot(chat(100)).await.unwrap();
    assert_eq!(handle.in_flight(), 2);
    // What is refused never was.
    assert_eq!(send(&service, chat(100)).await.status, 429);
    assert_eq!(handle.in_flight(), 2);
    read.into_body().collect().await.unwrap();
    assert_eq!(handle.in_flight(), 1);
    drop(left);
    assert_eq!(handle.in_flight(), 0);
    drop(service.oneshot(chat(100)));
    assert_eq!(handle.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_a_cache_is_a_request_without_tokens() {
    let cached = |_| {
        let mut response = answer(3, 50);
        let hit = Cached::new(Duration::from_secs(9));
        response.extensions_mut().insert(hit);
        response
    };
    for reads in [true, false] {
        let used = used_after(limited(10, 1_000), cached, reads).await;
        assert_eq!(used, [1, 0], "read to its end: {reads}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_read_reserves_no_tokens_and_is_charged_what_its_answer_states() {
    let layer = limited(10, 1_000).build().unwrap();
    let service = layer.layer(using(30, 70));
    let body = RequestBody::json(r#"{"model":"m","prompt":"a fox"}"#);
    let request = Request::post("/v1/images/generations").body(body).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(used(&layer.handle()).await, [1, 0]);
    crate::testing::read(response).await;
    assert_eq!(used(&layer.handle()).await, [1, 100]);
}

#[tokio::test(start_paused = true)]
async fn input_and_output_are_limited_apart() {
    let limits = [
        Limit::new(crate::reserve::Dimension::InputTokens, 1_000, MINUTE),
        Limit::new(crate::reserve::Dimension::OutputTokens, 2_000, MINUTE),
    ];
    let builder = limited(1, 1).quota(Quota::new(limits).unwrap());
    let layer = builder.build().unwrap();
    let service = layer.layer(using(7, 11));
    send(&service, chat(100)).await;
    assert_eq!(used(&layer.handle()).await, [7, 11]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_or_is_left_counts_by_what_was_seen_or_all_of_it() {
    let keep = || limited(10, 1_000).unknown_usage(UnknownUsage::KeepReservation);
    let partial = || stream(EVENT.repeat(64));
    let seen = 64 * EVENT.len() as u64 / 64;
    assert_eq!(
        used_after(limited(10, 1_000), move |_| partial(), true).await,
        [1, seen]
    );
    assert_eq!(used_after(keep(), move |_| partial(), true).await, [1, 500]);
    // Left before anything came.
    assert_eq!(
        used_after(limited(10, 1_000), move |_| partial(), false).await,
        [1, 0]
    );
    assert_eq!(
        used_after(keep(), move |_| partial(), false).await,
        [1, 500]
    );
    // A provider that never says.
    let silent = |_: Request<RequestBody>| {
        Response::new(ResponseBody::from(r#"{"choices":[]}"#).with_media(Media::Json))
    };
    assert_eq!(used_after(keep(), silent, true).await, [1, 500]);
    // Never more than was reserved.
    let long = |_: Request<RequestBody>| stream(EVENT.repeat(9_000));
    assert_eq!(used_after(limited(10, 1_000), long, true).await, [1, 500]);
}

#[tokio::test(start_paused = true)]
async fn what_an_unfinished_answer_did_say_counts_at_least() {
    let said = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\n";
    let respond = move |_: Request<RequestBody>| stream(said.to_owned());
    let used = used_after(limited(10, 1_000), respond, true).await;
    assert_eq!(used, [1, 71]);
}

#[tokio::test(start_paused = true)]
async fn refusals_give_back_and_only_what_was_sent_is_a_request() {
    let status = |status: u16| {
        move |_: Request<RequestBody>| {
            let mut response = Response::new(ResponseBody::from("{}").with_media(Media::Json));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.extensions_mut().insert(Served::by("a".into()));
            response
        }
    };
    let limit = || limited(10, 1_000);
    for refused in [400, 429, 500] {
        assert_eq!(used_after(limit(), status(refused), true).await, [1, 0]);
    }
    let rejected = |reason| {
        move |_: Request<RequestBody>| {
            let error = ApiError::invalid_request("x");
            Rejection::new("test", reason).into_response(&error, Dialect::default())
        }
    };
    let open = rejected(Reason::CircuitOpen);
    assert_eq!(used_after(limit(), open, true).await, [0, 0]);
    let unreached = |_: Request<RequestBody>| {
        let error = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let mut response = status(502)(chat(1));
        response.extensions_mut().insert(TransportError::new(error));
        response
    };
    assert_eq!(used_after(limit(), unreached, true).await, [0, 0]);
}

/// Never answers.
#[derive(Clone)]
struct Hangs;

impl Service<Request<RequestBody>> for Hangs {
    type Response = Response<ResponseBody>;
    type Error = &'static str;
    type Future = std::future::Pending<Result<Response<ResponseBody>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        std::future::pending()
    }
}

/// Always fails.
#[derive(Clone)]
struct Fails;

impl Service<Request<RequestBody>> for Fails {
    type Response = Response<ResponseBody>;
    type Error = &'static str;
    type Future = Ready<Result<Response<ResponseBody>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        ready(Err("broken"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_gives_back_what_was_not_begun() {
    for wait in [Duration::ZERO, MINUTE] {
        let layer = limited(10, 1_000).wait(wait).build().unwrap();
        let mut service = layer.layer(Hangs);
        let _ = service.ready().await;
        let unpolled = service.call(chat(500));
        assert_eq!(used(&layer.handle()).await, [1, 500]);
        drop(unpolled);
        assert_eq!(used(&layer.handle()).await, [0, 0]);
        // On its way it may have cost its input, which is nothing here.
        let mut polled = task::spawn(service.call(chat(500)));
        assert_pending!(polled.poll());
        drop(polled);
        assert_eq!(used(&layer.handle()).await, [1, 0]);
        assert_eq!(
            layer.layer(Fails).oneshot(chat(500)).await.unwrap_err(),
            "broken"
        );
        assert_eq!(used(&layer.handle()).await, [1, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_asked_for_its_usage_and_the_caller_does_not_see_that() {
    let with_usage = |request: Request<RequestBody>| {
        assert!(request.body().wants_usage());
        stream(format!(
            "{EVENT}data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}],\"usage\":null}}\n\n\
             data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":6,\"total_tokens\":11}}}}\n\n\
             data: [DONE]\n\n"
        ))
    };
    let layer = limited(10, 1_000).build().unwrap();
    let service = layer.layer(answering(with_usage));
    let body = RequestBody::json(r#"{"model":"m","stream":true,"max_tokens":100,"messages":[]}"#);
    let request = Request::post("/v1/chat/completions").body(body).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let seen: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&seen).contains("usage"));
    assert_eq!(used(&layer.handle()).await, [1, 11]);
}

#[tokio::test(start_paused = true)]
async fn what_answers_usually_take_is_reserved_instead_of_their_caps() {
    let layer = limited(1_000, 100_000)
        .output(OutputEstimate::Typical)
        .build()
        .unwrap();
    let service = layer.layer(using(0, 40));
    let handle = layer.handle();
    for _ in 0..40 {
        send(&service, chat(8_000)).await;
    }
    let before = used(&handle).await[1];
    let held = service.clone().oneshot(chat(8_000)).await.unwrap();
    let reserved = used(&handle).await[1] - before;
    assert!((40..=50).contains(&reserved), "{reserved}");
    drop(held);
    // Never more than the cap, and each of several answers counts.
    let before = used(&handle).await[1];
    let small = service.clone().oneshot(chat(10)).await.unwrap();
    assert_eq!(used(&handle).await[1] - before, 10);
    drop(small);
    let before = used(&handle).await[1];
    let body = RequestBody::json(r#"{"model":"m","n":3,"max_tokens":10,"messages":[]}"#);
    let several = Request::post("/v1/chat/completions").body(body).unwrap();
    let several = service.clone().oneshot(several).await.unwrap();
    assert_eq!(used(&handle).await[1] - before, 30);
    drop(several);
}

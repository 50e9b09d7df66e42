use std::time::Duration;

use http::{Response, StatusCode};
use tokio::{task::yield_now, time::advance};

use super::{ANSWER, CHAT, Relay, json, request};
use crate::{
    cache::CacheLayer,
    message::{ApiError, Dialect, Reason, Rejection, ResponseBody},
};

const MINUTE: Duration = Duration::from_secs(60);

fn busy() -> Response<ResponseBody> {
    let mut response = json(r#"{"error":{"message":"busy"}}"#);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_stands_in_for_a_failure_within_its_time() {
    let builder = CacheLayer::builder().ttl(MINUTE).stale_if_error(MINUTE);
    let relay = Relay::new(
        builder,
        |call| if call == 0 { json(ANSWER) } else { busy() },
    );
    relay.ask(request(CHAT)).await;
    advance(MINUTE + MINUTE / 2).await;
    let response = relay.send(request(CHAT)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-relay-cache"], "stale");
    assert_eq!(response.headers()["age"], "90");
    advance(MINUTE).await;
    assert_eq!(relay.send(request(CHAT)).await.status(), 503);
    assert_eq!(relay.calls(), 3);
    assert_eq!(relay.handle.counts().stale, 1);
}

#[tokio::test(start_paused = true)]
async fn it_stands_in_for_what_this_relay_refuses_for_the_upstream_and_not_for_a_bad_request() {
    let refuse = |reason, status: u16| {
        let error = ApiError::new(StatusCode::from_u16(status).unwrap(), "x", "no");
        Rejection::new("test", reason).into_response(&error, Dialect::OpenAi)
    };
    for (reason, status, expected) in [
        (Reason::CircuitOpen, 503, 200),
        (Reason::ProviderLimit, 429, 200),
        (Reason::RateLimited, 429, 429),
        (Reason::InvalidRequest, 400, 400),
    ] {
        let builder = CacheLayer::builder().ttl(MINUTE).stale_if_error(MINUTE);
        let relay = Relay::new(builder, move |call| {
            if call == 0 {
                json(ANSWER)
            } else {
                refuse(reason, status)
            }
        });
        relay.ask(request(CHAT)).await;
        advance(MINUTE).await;
        assert_eq!(
            relay.send(request(CHAT)).await.status(),
            expected,
            "{reason:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn within_the_grace_an_old_answer_is_given_at_once_and_one_task_asks_anew() {
    let builder = CacheLayer::builder()
        .ttl(MINUTE)
        .stale_while_revalidate(MINUTE);
    let relay = Relay::new(builder, |call| {
        json(ANSWER.replace("Hello", &format!("call {call}")))
    });
    relay.ask(request(CHAT)).await;
    advance(MINUTE).await;
    for _ in 0..5 {
        let (status, body) = relay.ask(request(CHAT)).await;
        assert_eq!(status, "stale");
        assert!(body.contains("call 0"));
    }
    for _ in 0..10 {
        yield_now().await;
    }
    let (status, body) = relay.ask(request(CHAT)).await;
    assert_eq!((status.as_str(), relay.calls()), ("hit", 2));
    assert!(body.contains("call 1"));
    assert_eq!(relay.handle.in_flight(), 0);
}

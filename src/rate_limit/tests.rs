mod config;
mod load;
mod properties;
mod provider;
mod settling;
mod unavailable;
mod waiting;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};

use super::{RateLimitBuilder, RateLimitHandle, RateLimitLayer};
use crate::{
    key::{Key, KeyBy},
    message::{Media, RequestBody, ResponseBody},
    reserve::{Limit, Quota},
    testing::answering,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A layer for everyone together, with so many requests and tokens a minute.
fn limited(requests: u64, tokens: u64) -> RateLimitBuilder {
    RateLimitBuilder::per_minute(requests, tokens).by(KeyBy::global())
}

/// A chat request of 0 estimated tokens of input and a cap of `output`.
fn chat(output: u64) -> Request<RequestBody> {
    let body = format!(r#"{{"model":"m","messages":[],"max_tokens":{output}}}"#);
    Request::post("/v1/chat/completions")
        .body(RequestBody::json(body))
        .unwrap()
}

/// A chat answer that used so many tokens.
fn answer(input: u64, output: u64) -> Response<ResponseBody> {
    let text = format!(
        r#"{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{}}}}}"#,
        input + output
    );
    Response::new(ResponseBody::from(text).with_media(Media::Json))
}

fn using(
    input: u64,
    output: u64,
) -> impl Service<
    Request<RequestBody>,
    Response = Response<ResponseBody>,
    Error = Infallible,
    Future: Send,
> + Clone {
    answering(move |_| answer(input, output))
}

/// Sends, and reads the answer to its end.
async fn send<S>(service: &S, request: Request<RequestBody>) -> http::response::Parts
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    let response = service.clone().oneshot(request).await.unwrap();
    crate::testing::read(response).await.0
}

/// What is used of each limit of the key of everyone.
async fn used(handle: &RateLimitHandle) -> Vec<u64> {
    let levels = handle.levels(&Key::GLOBAL).await;
    levels.iter().map(|level| level.used).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_admitted_is_told_the_limit_the_use_and_the_wait() {
    let layer = limited(10, 1_000).build().unwrap();
    let service = layer.layer(using(100, 400));
    let head = send(&service, chat(400)).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["x-ratelimit-limit-requests"], "10");
    assert_eq!(head.headers["x-ratelimit-remaining-requests"], "9");
    assert_eq!(head.headers["x-ratelimit-reset-requests"], "6s");
    assert_eq!(head.headers["x-ratelimit-limit-tokens"], "1000");
    assert_eq!(head.headers["x-ratelimit-remaining-tokens"], "600");

    let response = service.clone().oneshot(chat(625)).await.unwrap();
    let rejection = *response
        .extensions()
        .get::<crate::message::Rejection>()
        .unwrap();
    assert_eq!(rejection.reason, crate::message::Reason::RateLimited);
    assert_eq!(rejection.retry_after, Some(Duration::from_millis(7_500)));
    let (head, text) = crate::testing::read(response).await;
    assert_eq!(head.status, 429);
    assert_eq!(head.headers["retry-after"], "8");
    assert_eq!(head.headers["retry-after-ms"], "7500");
    assert_eq!(head.headers["x-ratelimit-remaining-tokens"], "500");
    assert_eq!(
        text,
        r#"{"error":{"message":"Rate limit reached (1000 tokens per minute): Limit 1000, Used 500, Requested 625. Please try again in 7.5s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#
    );
    tokio::time::advance(Duration::from_millis(7_500)).await;
    assert_eq!(send(&service, chat(625)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn of_a_limit_with_a_burst_of_its_own_both_are_told() {
    let limit = Limit::tokens(1_000, MINUTE).with_burst(300);
    let layer = limited(1, 1).quota(Quota::new([limit]).unwrap()).build();
    let service = layer.unwrap().layer(using(0, 250));
    send(&service, chat(250)).await;
    let refused = service.oneshot(chat(100)).await.unwrap();
    let (_, text) = crate::testing::read(refused).await;
    let told = "Rate limit reached (1000 tokens per minute, 300 at once): Limit 300, Used 250, Requested 100.";
    assert!(text.contains(told), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_burst_is_refused_for_good() {
    let layer = limited(10, 1_000).wait(MINUTE).build().unwrap();
    let service = layer.layer(using(1, 1));
    let response = service.clone().oneshot(chat(1_001)).await.unwrap();
    assert!(!response.headers().contains_key("retry-after"));
    let refused = crate::testing::refusal(response).await;
    assert_eq!(refused, (400, "request_too_large".to_owned()));
    assert_eq!(used(&layer.handle()).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_quota_and_buckets() {
    let tier = Quota::per_minute(2, 1_000).unwrap();
    let builder = RateLimitBuilder::per_minute(1, 1_000)
        .quota_for(Key::secret("api_key", b"sk-a"), tier.clone())
        .quota_by(move |key, _| (*key == Key::secret("api_key", b"sk-b")).then(|| tier.clone()));
    let layer = builder.build().unwrap();
    let service = layer.layer(using(1, 1));
    let of = |key: &str| {
        let mut request = chat(1);
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        request
    };
    for (key, admitted) in [("sk-a", 2), ("sk-b", 2), ("sk-c", 1)] {
        for nth in 0..3 {
            let status = if nth < admitted { 200 } else { 429 };
            assert_eq!(send(&service, of(key)).await.status, status, "{key} {nth}");
        }
    }
    let handle = layer.handle();
    let key = Key::secret("api_key", b"sk-c");
    handle.set_quota(&key, Some(&Quota::per_minute(5, 1_000).unwrap()));
    assert_eq!(send(&service, of("sk-c")).await.status, 200);
    handle.set_quota(&key, None);
    assert_eq!(send(&service, of("sk-c")).await.status, 429);
    handle.reset(&key).await;
    assert_eq!(send(&service, of("sk-c")).await.status, 200);
    handle.set_default(Quota::new([Limit::requests(4, MINUTE)]).unwrap());
    assert_eq!(send(&service, of("sk-c")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_admitted_where_tokens_count() {
    let service = limited(10, 1_000).build().unwrap().layer(using(1, 1));
    let body = r#"{"model":"m","max_tokens":1,"max_tokens":900}"#;
    let request = Request::post("/v1/chat/completions").body(RequestBody::json(body));
    let response = service.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(
        crate::testing::refusal(response).await,
        (400, "invalid_json".to_owned())
    );
    let requests = Quota::new([Limit::requests(9, MINUTE)]).unwrap();
    let layer = RateLimitLayer::builder().quota(requests).build().unwrap();
    let request = Request::post("/v1/chat/completions").body(RequestBody::json(body));
    let head = send(&layer.layer(using(1, 1)), request.unwrap()).await;
    assert_eq!(head.status, 200);
    assert!(!head.headers.contains_key("x-ratelimit-limit-tokens"));
}

#[tokio::test(start_paused = true)]
async fn looking_at_a_key_whose_quota_is_looked_up_for_each_request_changes_nothing() {
    let hourly = Quota::new([Limit::requests(2, MINUTE * 60)]).unwrap();
    let looked_up = hourly.clone();
    let layer = limited(10, 1_000)
        .quota_by(move |_, _| Some(looked_up.clone()))
        .build()
        .unwrap();
    let service = layer.layer(using(1, 1));
    for (status, used_then) in [(200, 1), (200, 2), (429, 2)] {
        assert_eq!(send(&service, chat(1)).await.status, status);
        assert_eq!(used(&layer.handle()).await, [used_then]);
    }
    assert_eq!(layer.handle().quota(&Key::GLOBAL), hourly);
}

/// The narrower limit around the broader one, as a gateway has them, and the other way round.
#[tokio::test(start_paused = true)]
async fn of_limits_within_limits_each_gets_back_what_the_other_refuses() {
    for narrow_first in [true, false] {
        let (outer, inner) = if narrow_first {
            (limited(10, 500), limited(1, 1_000))
        } else {
            (limited(1, 1_000), limited(10, 500))
        };
        let (outer, inner) = (outer.build().unwrap(), inner.build().unwrap());
        let service = outer.layer(inner.layer(using(0, 100)));
        assert_eq!(send(&service, chat(400)).await.status, 200);
        let refused = send(&service, chat(400)).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.headers["x-ratelimit-limit-requests"], "1");
        assert_eq!(used(&outer.handle()).await, [1, 100], "{narrow_first}");
        assert_eq!(used(&inner.handle()).await, [1, 100], "{narrow_first}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_limits_within_limits_the_one_that_leaves_least_is_told() {
    let told = |head: &http::response::Parts| {
        let names = [
            "limit-requests",
            "remaining-requests",
            "limit-tokens",
            "remaining-tokens",
        ];
        names.map(|name| {
            let value = head.headers.get(format!("x-ratelimit-{name}"));
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        })
    };
    let upstream = answering(|_| {
        let mut response = answer(0, 100);
        // Its own say nothing of the caller's.
        for name in ["remaining-requests", "remaining-tokens"] {
            let name = http::HeaderName::try_from(format!("x-ratelimit-{name}")).unwrap();
            response.headers_mut().insert(name, 1.into());
        }
        response
    });
    let requests = Quota::new([Limit::requests(5, MINUTE)]).unwrap();
    for (outer, inner, expected) in [
        (
            limited(1, 1).quota(requests.clone()),
            limited(9, 900),
            ["5", "4", "900", "500"],
        ),
        (
            limited(9, 900),
            limited(1, 1).quota(requests),
            ["5", "4", "900", "500"],
        ),
        (limited(5, 900), limited(9, 700), ["5", "4", "700", "300"]),
    ] {
        let (outer, inner) = (outer.build().unwrap(), inner.build().unwrap());
        let service = outer.layer(inner.layer(upstream.clone()));
        assert_eq!(told(&send(&service, chat(400)).await), expected);
    }
    // Refused for good further in: 400, which the outer limit tells of as well.
    let service = limited(9, 900).build().unwrap();
    let service = service.layer(limited(9, 700).build().unwrap().layer(upstream));
    let refused = send(&service, chat(800)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(told(&refused), ["9", "8", "900", "100"]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_broader_limit_within_holds_its_place_and_gives_it_back_when_it_leaves() {
    let outer = limited(10, 500).build().unwrap();
    let inner = limited(1, 1_000).wait(MINUTE * 2).build().unwrap();
    let service = outer.layer(inner.layer(using(0, 100)));
    assert_eq!(send(&service, chat(400)).await.status, 200);
    let mut waiting = tokio_test::task::spawn(service.clone().oneshot(chat(400)));
    assert!(waiting.poll().is_pending());
    assert_eq!(used(&outer.handle()).await, [2, 500]);
    drop(waiting);
    // It was on its way, as far as the outer one knows: its input counts, which is nothing here, and the request itself.
    assert_eq!(used(&outer.handle()).await, [2, 100]);
    assert_eq!(used(&inner.handle()).await, [1, 100]);
}

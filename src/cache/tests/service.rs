use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, advance};

use super::{ANSWER, CHAT, EVENTS, Relay, STREAMED, events, json, post, request, shared};
use crate::{
    cache::{CacheBuilder, CacheLayer, CacheScope, Cacheable, Purge, X_RELAY_CACHE_SAVED_USD},
    key::{Key, KeyBy},
    message::{
        AllowedUpstreams, Bill, BillLine, Cached, Chosen, CostSource, RequestBody, ResponseBody,
        Shadowed, catalog::Cost,
    },
};

type Answering = Box<dyn Fn() -> Response<ResponseBody> + Send + Sync>;

fn told(status: &str, body: &str) -> (String, String) {
    (status.to_owned(), body.to_owned())
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_answered_again_with_its_age() {
    let relay = Relay::new(CacheLayer::builder(), |_| json(ANSWER));
    assert_eq!(relay.ask(request(CHAT)).await, told("miss", ANSWER));
    advance(Duration::from_secs(90)).await;
    let response = relay.send(request(CHAT)).await;
    let headers = response.headers();
    assert_eq!(headers["x-relay-cache"], "hit");
    assert_eq!(headers["age"], "90");
    assert_eq!(headers["content-type"], "application/json");
    let cached = response.extensions().get::<Cached>().unwrap();
    assert_eq!(
        (cached.age, cached.is_stale),
        (Duration::from_secs(90), false)
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((body, relay.calls()), (ANSWER.into(), 1));
    let counts = relay.handle.counts();
    assert_eq!((counts.hits, counts.misses, counts.kept), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_played_again_in_the_same_pieces() {
    let relay = Relay::new(CacheLayer::builder(), |_| events(EVENTS));
    assert_eq!(relay.ask(request(STREAMED)).await.0, "miss");
    let mut body = relay.send(request(STREAMED)).await.into_body();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        pieces.push(frame.unwrap().into_data().unwrap());
    }
    assert_eq!(pieces, EVENTS);
    assert_eq!(relay.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_played_again_at_a_pace() {
    let pace = Duration::from_millis(20);
    let relay = Relay::new(CacheLayer::builder().pace(pace), |_| events(EVENTS));
    relay.ask(request(STREAMED)).await;
    let began = Instant::now();
    assert_eq!(relay.ask(request(STREAMED)).await.1, EVENTS.concat());
    assert_eq!(began.elapsed(), pace * 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_form_answers_for_the_other_where_that_is_asked_for() {
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"total_tokens\":5}}\n\n";
    let streaming = |_| events([EVENTS[0], EVENTS[1], USAGE, EVENTS[2]]);
    let crossing = || CacheLayer::builder().cross_replay(true);
    // Without it they are two.
    let relay = Relay::new(CacheLayer::builder(), streaming);
    relay.ask(request(STREAMED)).await;
    assert_eq!(relay.ask(request(CHAT)).await.0, "miss");

    let relay = Relay::new(crossing(), streaming);
    let (status, stream) = relay.ask(request(STREAMED)).await;
    assert_eq!((status.as_str(), stream), ("miss", EVENTS.concat()));
    assert_eq!(
        relay.ask(request(STREAMED)).await,
        told("hit", &EVENTS.concat())
    );
    let response = relay.send(request(CHAT)).await;
    assert_eq!(response.headers()["x-relay-cache"], "hit");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body.pointer("/choices/0/message/content").unwrap(), "Hello");
    assert_eq!(body.pointer("/usage/total_tokens").unwrap(), 5);
    let wants = STREAMED.replace("true", "true,\"stream_options\":{\"include_usage\":true}");
    assert!(
        relay
            .ask(request(wants))
            .await
            .1
            .contains("\"total_tokens\":5")
    );
    assert_eq!(relay.calls(), 1);

    // A layer that does not cross never takes what may have another form for its own.
    let key = |builder: CacheBuilder| {
        let layer = builder.build().unwrap();
        layer.handle().key_of(&request(CHAT)).unwrap()
    };
    assert_ne!(key(crossing()), key(CacheLayer::builder()));

    let relay = Relay::new(crossing(), |_| json(ANSWER));
    relay.ask(request(CHAT)).await;
    let (status, stream) = relay.ask(request(STREAMED)).await;
    assert_eq!((status.as_str(), relay.calls()), ("hit", 1));
    assert!(
        stream.contains("Hello")
            && stream.ends_with("data: [DONE]\n\n")
            && !stream.contains("usage"),
        "{stream}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time() {
    let relay = Relay::new(CacheLayer::builder().ttl(Duration::from_secs(60)), |_| {
        json(ANSWER)
    });
    for (wait, status) in [(0, "miss"), (59, "hit"), (1, "miss"), (59, "hit")] {
        advance(Duration::from_secs(wait)).await;
        assert_eq!(relay.ask(request(CHAT)).await.0, status, "{wait}");
    }
    assert_eq!(relay.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_what_asks_for_the_same_answer_each_time_is_answered_unless_all_is() {
    let warm = r#"{"model":"m","messages":[]}"#;
    let relay = Relay::new(CacheLayer::builder(), |_| json(ANSWER));
    assert_eq!(relay.ask(request(warm)).await.0, "");
    assert_eq!(relay.ask(request(warm)).await.0, "");
    let relay = Relay::new(CacheLayer::builder().requests(Cacheable::All), |_| {
        json(ANSWER)
    });
    assert_eq!(relay.ask(request(warm)).await.0, "miss");
    assert_eq!(relay.ask(request(warm)).await.0, "hit");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_kept_is_asked_for_each_time() {
    let with = |head: &'static str| {
        move || {
            let text = ANSWER.replace("\"stop\"", head);
            json(text)
        }
    };
    let status = |status: u16| {
        move || {
            let mut response = json(r#"{"error":{"message":"no"}}"#);
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        }
    };
    let answers: Vec<(&str, Answering)> = vec![
        ("an error", Box::new(status(500))),
        ("a bad request", Box::new(status(400))),
        ("another success", Box::new(status(202))),
        (
            "an error inside a 200",
            Box::new(|| json(r#"{"error":{"message":"no","code":429}}"#)),
        ),
        ("a filtered answer", Box::new(with("\"content_filter\""))),
        (
            "a refusal",
            Box::new(|| json(ANSWER.replace("\"refusal\":null", "\"refusal\":\"no\""))),
        ),
        ("a truncated answer", Box::new(with("\"length\""))),
        (
            "a tool call",
            Box::new(|| {
                json(ANSWER.replace("\"tool_calls\":null", "\"tool_calls\":[{\"id\":\"1\"}]"))
            }),
        ),
        ("nothing", Box::new(|| json(""))),
        (
            "text",
            Box::new(|| Response::new(ResponseBody::from("hello"))),
        ),
        (
            "compressed JSON",
            Box::new(|| {
                let response = Response::builder()
                    .header("content-type", "application/json")
                    .header("content-encoding", "gzip");
                ResponseBody::wrap(response.body(ResponseBody::from("\x1f")).unwrap())
            }),
        ),
        ("a stream that is cut", Box::new(|| events([EVENTS[0]]))),
        (
            "a stream with an error",
            Box::new(|| {
                events([
                    EVENTS[0],
                    "data: {\"error\":{\"message\":\"x\"}}\n\n",
                    EVENTS[2],
                ])
            }),
        ),
        (
            "a stream that refuses",
            Box::new(|| {
                events([
                    "data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}\n\n",
                    EVENTS[1],
                    EVENTS[2],
                ])
            }),
        ),
        (
            "a stream that calls",
            Box::new(|| {
                events([
                    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{}]}}]}\n\n",
                    EVENTS[1],
                    EVENTS[2],
                ])
            }),
        ),
    ];
    for (name, answer) in answers {
        let answer = std::sync::Arc::new(answer);
        let relay = Relay::new(CacheLayer::builder(), move |_| answer());
        for _ in 0..2 {
            assert_eq!(relay.ask(request(CHAT)).await.0, "miss", "{name}");
        }
        assert_eq!(
            (relay.calls(), relay.handle.counts().kept),
            (2, 0),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn tool_calls_are_kept_where_that_is_asked_for() {
    let answer = ANSWER.replace("\"tool_calls\":null", "\"tool_calls\":[{\"id\":\"1\"}]");
    let answer = answer.replace("\"stop\"", "\"tool_calls\"");
    let relay = Relay::new(CacheLayer::builder().tool_calls(true), move |_| {
        json(answer.clone())
    });
    assert_eq!(relay.ask(request(CHAT)).await.0, "miss");
    assert_eq!(relay.ask(request(CHAT)).await.0, "hit");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_left_before_its_end_is_not_kept_and_one_after_it_is() {
    let relay = Relay::new(CacheLayer::builder(), |_| events(EVENTS));
    let mut left = relay.send(request(STREAMED)).await.into_body();
    left.frame().await;
    drop(left);
    assert_eq!(relay.handle.in_flight(), 0);
    assert_eq!(relay.ask(request(STREAMED)).await.0, "miss");
    assert_eq!(relay.handle.counts().kept, 1);

    // Whoever stops at the last event has read all there is.
    relay.handle.purge(Purge::All).await;
    let mut left = relay.send(request(STREAMED)).await.into_body();
    for _ in 0..3 {
        left.frame().await;
    }
    drop(left);
    assert_eq!(relay.ask(request(STREAMED)).await.0, "hit");
}

#[tokio::test(start_paused = true)]
async fn answers_above_the_size_are_passed_on_and_not_kept() {
    let long = ANSWER.replace("Hello", &"x".repeat(2000));
    let whole = long.clone();
    let relay = Relay::new(CacheLayer::builder().max_answer(1000), move |_| {
        json(long.clone())
    });
    for _ in 0..2 {
        assert_eq!(relay.ask(request(CHAT)).await, told("miss", &whole));
    }
    // Where its length is not known before.
    let pieces = ["data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n"; 40];
    let relay = Relay::new(CacheLayer::builder().max_answer(1000), move |_| {
        events(pieces)
    });
    for _ in 0..2 {
        assert_eq!(
            relay.ask(request(STREAMED)).await,
            told("miss", &pieces.concat())
        );
    }
    assert_eq!(relay.handle.counts().kept, 0);
    // And requests above theirs are not even looked at.
    let relay = Relay::new(CacheLayer::builder().max_request(20), |_| json(ANSWER));
    assert_eq!(relay.ask(request(CHAT)).await.0, "");
}

#[tokio::test(start_paused = true)]
async fn headers_of_one_request_are_not_given_to_another() {
    let relay = Relay::new(CacheLayer::builder(), |_| {
        let mut response = json(ANSWER);
        for (name, value) in [
            ("set-cookie", "a=b"),
            ("x-request-id", "req-1"),
            ("x-ratelimit-remaining-requests", "7"),
            ("date", "today"),
            ("x-relay-dropped-params", "top_k"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    });
    let first = relay.send(request(CHAT)).await;
    assert_eq!(first.headers()["x-request-id"], "req-1");
    first.into_body().collect().await.unwrap();
    let again = relay.send(request(CHAT)).await;
    let mut names: Vec<_> = again
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "age",
            "content-type",
            "x-relay-cache",
            "x-relay-dropped-params"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_it_had_cost_is_what_is_saved() {
    let layer = shared().build().unwrap();
    let upstream = tower::service_fn(|mut request: Request<RequestBody>| async move {
        let line = Bill::of(request.extensions_mut()).open();
        let response = json(ANSWER).map(|body| {
            body.on_end(move |_| {
                let cost = Cost::parse_usd("0.0012");
                let usage = crate::message::usage::Usage::default();
                line.close(BillLine::new("a".into(), usage, CostSource::Reported, cost));
            })
        });
        Ok::<_, std::convert::Infallible>(response)
    });
    let service = tower::Layer::layer(&layer, upstream);
    let ask = async || {
        let mut request = request(CHAT);
        let bill = Bill::of(request.extensions_mut());
        let response = tower::ServiceExt::oneshot(service.clone(), request)
            .await
            .unwrap();
        let saved = response.headers().get(X_RELAY_CACHE_SAVED_USD).cloned();
        let cached = response
            .extensions()
            .get::<Cached>()
            .and_then(|cached| cached.saved);
        let (told, telling) = tokio::sync::oneshot::channel();
        let body = response.into_body().on_end(move |completion| {
            let bill = completion.bill.as_ref().map(Bill::cost);
            told.send(bill).unwrap();
        });
        body.collect().await.unwrap();
        (bill.cost(), telling.await.unwrap(), saved, cached)
    };
    let cost = Cost::parse_usd("0.0012").unwrap();
    assert_eq!(ask().await, (cost, Some(cost), None, None));
    let header = HeaderValue::from_static("0.0012");
    assert_eq!(ask().await, (Cost::ZERO, None, Some(header), Some(cost)));
    assert_eq!(layer.handle().counts().saved, cost);
}

#[tokio::test(start_paused = true)]
async fn tenants_have_answers_of_their_own_and_nobody_those_of_nobody() {
    let relay = Relay::new(CacheLayer::builder(), |_| json(ANSWER));
    let by = |key: &'static str| {
        let request = Request::post("/v1/chat/completions").header("x-api-key", key);
        request.body(RequestBody::json(CHAT)).unwrap()
    };
    for (key, status) in [
        ("one", "miss"),
        ("two", "miss"),
        ("one", "hit"),
        ("two", "hit"),
        ("", ""),
        ("", ""),
    ] {
        assert_eq!(relay.ask(by(key)).await.0, status, "{key}");
    }
    let relay = Relay::new(shared(), |_| json(ANSWER));
    for (key, status) in [("one", "miss"), ("two", "hit"), ("", "hit")] {
        assert_eq!(relay.ask(by(key)).await.0, status, "{key}");
    }
    let by_team = CacheLayer::builder().by(KeyBy::extension(|team: &&'static str| {
        Key::named("team", team)
    }));
    let relay = Relay::new(by_team, |_| json(ANSWER));
    for (team, status) in [("red", "miss"), ("red", "hit"), ("blue", "miss")] {
        let mut request = by("one");
        request.extensions_mut().insert(team);
        assert_eq!(relay.ask(request).await.0, status, "{team}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_say_what_they_take() {
    let relay = Relay::new(CacheLayer::builder(), |call| {
        json(ANSWER.replace("Hello", &call.to_string()))
    });
    let saying = |directive: &'static str| {
        let request = post("/v1/chat/completions").header("cache-control", directive);
        request.body(RequestBody::json(CHAT)).unwrap()
    };
    let mut told = Vec::new();
    for (wait, directive) in [
        (0, "only-if-cached"),
        (0, "no-store"),
        (0, "x"),
        (0, "max-age=10"),
        (11, "max-age=10"),
        (0, "no-cache"),
        (0, "only-if-cached"),
        (0, "no-store"),
    ] {
        advance(Duration::from_secs(wait)).await;
        let (status, body) = relay.ask(saying(directive)).await;
        let content: serde_json::Value = serde_json::from_str(&body).unwrap();
        let said = content
            .pointer("/choices/0/message/content")
            .or(content.pointer("/error/code"));
        told.push(format!("{status} {}", said.unwrap().as_str().unwrap()));
    }
    assert_eq!(
        told,
        [
            " not_cached",
            " 0",
            "miss 1",
            "hit 1",
            "miss 2",
            "miss 3",
            "hit 3",
            " 4"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_purged_is_asked_for_again() {
    let chat = |model: &str| request(CHAT.replace("\"m\"", &format!("{model:?}")));
    let of = |key: &'static str, model: &str| {
        let mut request = chat(model);
        let value = HeaderValue::from_static(key);
        request.headers_mut().insert("authorization", value);
        request
    };
    let (one, two) = ("Bearer one", "Bearer two");
    let all = [(one, "a"), (one, "b"), (two, "a")];
    let relay = Relay::new(CacheLayer::builder(), |_| json(ANSWER));
    let key = relay.handle.key_of(&of(one, "a")).unwrap();
    assert_eq!((key.model(), key.to_string().len()), ("a", 64));
    for (purge, kept) in [
        (Purge::Key(key.clone()), [false, true, true]),
        (Purge::Model("a".into()), [false, true, false]),
        (Purge::Scope(key.scope().clone()), [false, false, true]),
        (Purge::All, [false; 3]),
    ] {
        for (key, model) in all {
            relay.ask(of(key, model)).await;
        }
        relay.handle.purge(purge.clone()).await;
        for ((key, model), kept) in all.into_iter().zip(kept) {
            let status = if kept { "hit" } else { "miss" };
            assert_eq!(
                relay.ask(of(key, model)).await.0,
                status,
                "{purge:?} {key} {model}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_asked_for_before_a_purge_is_not_kept_after_it() {
    let relay = Relay::new(CacheLayer::builder(), |_| json(ANSWER));
    let response = relay.send(request(CHAT)).await;
    relay.handle.purge(Purge::All).await;
    // Nor shared with those who ask after it.
    assert_eq!(relay.ask(request(CHAT)).await.0, "miss");
    relay.handle.purge(Purge::All).await;
    response.into_body().collect().await.unwrap();
    assert_eq!(relay.ask(request(CHAT)).await.0, "miss");
    assert_eq!(relay.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn copies_for_comparison_and_what_upstreams_keep_pass() {
    let relay = Relay::new(shared().requests(Cacheable::All), |_| json(ANSWER));
    relay.ask(request(CHAT)).await;
    let mut copy = request(CHAT);
    copy.extensions_mut().insert(Shadowed);
    assert_eq!(relay.ask(copy).await.0, "");
    let stored = request(r#"{"model":"m","store":true}"#);
    assert_eq!(relay.ask(stored).await.0, "");
    let listed = Request::get("/v1/models")
        .body(RequestBody::empty())
        .unwrap();
    assert_eq!(relay.ask(listed).await.0, "");
}

#[tokio::test(start_paused = true)]
async fn the_upstreams_that_may_answer_are_part_of_the_key() {
    let relay = Relay::new(shared(), |_| json(ANSWER));
    let bound = |to: Option<AllowedUpstreams>, chosen: Option<&str>| {
        let mut request = request(CHAT);
        if let Some(to) = to {
            request.extensions_mut().insert(to);
        }
        if let Some(chosen) = chosen {
            request.extensions_mut().insert(Chosen(chosen.into()));
        }
        request
    };
    for (to, chosen, status) in [
        (None, None, "miss"),
        (Some(AllowedUpstreams::new(["a", "b"])), None, "miss"),
        (Some(AllowedUpstreams::new(["b", "a"])), None, "hit"),
        (Some(AllowedUpstreams::new(["a"])), None, "miss"),
        (None, Some("a"), "miss"),
        (None, Some("b"), "miss"),
        (None, Some("a"), "hit"),
    ] {
        assert_eq!(relay.ask(bound(to, chosen)).await.0, status);
    }
}

#[test]
fn what_cannot_work_says_why() {
    let build = |builder: CacheBuilder| builder.build().unwrap_err().to_string();
    for (builder, error) in [
        (
            CacheLayer::builder().ttl(Duration::ZERO),
            "ttl: must be more than zero",
        ),
        (
            CacheLayer::builder().max_answer(0),
            "max_answer: must be more than zero",
        ),
        (
            CacheLayer::builder().max_answer(1 << 32),
            "max_answer: must be less than 4 GiB",
        ),
        (
            CacheLayer::builder().by(KeyBy::global()),
            "by: is the same for all tenants: ask for the scope \"shared\"",
        ),
        (
            CacheLayer::builder().by(KeyBy::model()),
            "by: is the same for all tenants: ask for the scope \"shared\"",
        ),
        (
            CacheLayer::builder().ignore(["messages"]),
            "ignore: \"messages\" decides every answer",
        ),
    ] {
        assert_eq!(build(builder), error);
    }
    let read: CacheBuilder =
        serde_json::from_str(r#"{"scope":"shared","ttl":"5m","vary":["x-mine"]}"#).unwrap();
    assert!(format!("{read:?}").contains("Shared") && read.build().is_ok());
    for wrong in [
        r#"{"scope":"everyone"}"#,
        r#"{"ttl":5}"#,
        r#"{"by":"global"}"#,
        r#"{"vary":["a b"]}"#,
    ] {
        assert!(
            serde_json::from_str::<CacheBuilder>(wrong).is_err(),
            "{wrong}"
        );
    }
    assert_eq!(CacheScope::default(), CacheScope::Tenant);
}

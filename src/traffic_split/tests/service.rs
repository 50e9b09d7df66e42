//! Where requests go.

use std::time::Duration;

use http::Method;
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::{
    message::{AllowedUpstreams, Effects, Endpoint, Served},
    stats::{Availability, Stats},
    testing::{read, refusal},
};

fn split(builder: TrafficSplitBuilder) -> TrafficSplit<Target> {
    builder.split(&upstreams(&["old", "new"])).unwrap()
}

/// Who answered, and why.
async fn ask<S>(split: &S, request: Request<RequestBody>) -> String
where
    S: Service<
            Request<RequestBody>,
            Response = Response<ResponseBody>,
            Error = std::convert::Infallible,
        > + Clone,
{
    let response = split.clone().oneshot(request).await.unwrap();
    let choice = response.extensions().get::<SplitChoice>().unwrap().clone();
    assert_eq!(response.headers()[X_RELAY_UPSTREAM], *choice.target);
    let (_, text) = read(response).await;
    assert_eq!(
        text,
        format!("{} {}", choice.target, choice.reason.as_str())
    );
    text
}

/// How many of a thousand requests `new` answered.
async fn share_of_new(split: &TrafficSplit<Target>) -> usize {
    let mut new = 0;
    for number in 0..1000 {
        new += usize::from(
            ask(split, chat(&format!("req-{number}")))
                .await
                .starts_with("new"),
        );
    }
    new
}

#[tokio::test]
async fn requests_are_split_by_weights_that_change_as_they_flow() {
    let split = split(TrafficSplitBuilder::default().weights([75, 25]));
    let handle = split.handle();
    let quarter = share_of_new(&split).await;
    assert!((200..300).contains(&quarter), "{quarter}");
    assert_eq!(share_of_new(&split).await, quarter, "each keeps its side");
    handle.set_weights(&[0, 3]).unwrap();
    assert_eq!(share_of_new(&split).await, 1000);
    handle.set_weights(&[1, 0]).unwrap();
    assert_eq!(share_of_new(&split).await, 0);
    assert_eq!(handle.counts().iter().sum::<u64>(), 4000);
}

#[tokio::test]
async fn nothing_leaves_the_baseline_unless_it_is_told_so() {
    assert_eq!(
        share_of_new(&split(TrafficSplitBuilder::default())).await,
        0
    );
}

#[tokio::test]
async fn what_an_upstream_keeps_stays_with_the_baseline() {
    let split = split(TrafficSplitBuilder::default().weights([0, 1]));
    let request = |method, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path);
        request.body(RequestBody::json(body)).unwrap()
    };
    for stays in [
        request(
            Method::POST,
            "/v1/chat/completions",
            r#"{"model":"a","store":true}"#,
        ),
        request(
            Method::POST,
            "/v1/responses",
            r#"{"model":"a","input":"x"}"#,
        ),
        request(Method::POST, "/v1/chat/completions", "not JSON"),
        request(Method::GET, "/v1/files/file-1", ""),
        request(Method::GET, "/v1/models", ""),
        request(Method::POST, "/v1/batches", "{}"),
    ] {
        assert_eq!(ask(&split, stays).await, "old stateful");
    }
    let goes = request(
        Method::POST,
        "/v1/responses",
        r#"{"model":"a","input":"x","store":false}"#,
    );
    assert_eq!(ask(&split, goes).await, "new weight");
    let mut quote = request(Method::GET, "/quotes/ACME", "");
    quote.extensions_mut().insert(Effects::Generate);
    assert_eq!(ask(&split, quote).await, "new weight");
}

#[tokio::test]
async fn what_is_not_eligible_stays_with_the_baseline() {
    let all = || TrafficSplitBuilder::default().weights([0, 1]);
    let none = split(all().eligible(|_| false));
    assert_eq!(ask(&none, chat("a")).await, "old not_eligible");
    assert_eq!(
        ask(&split(all().read_only()), chat("a")).await,
        "new weight"
    );
}

#[tokio::test]
async fn a_caller_chooses_only_where_that_is_allowed() {
    let asking = |name: &str| {
        let mut request = chat("a");
        let headers = request.headers_mut();
        headers.insert(X_RELAY_UPSTREAM, name.parse().unwrap());
        request
    };
    let deaf = split(TrafficSplitBuilder::default());
    assert_eq!(ask(&deaf, asking("new")).await, "old weight");
    let open = split(TrafficSplitBuilder::default().allow_override(true));
    assert_eq!(ask(&open, asking("new")).await, "new asked");
    let mut stored = asking("new");
    *stored.body_mut() = RequestBody::json(r#"{"store":true}"#);
    assert_eq!(ask(&open, stored).await, "new asked");
    let unknown = open.oneshot(asking("newer")).await.unwrap();
    assert_eq!(refusal(unknown).await, (400, "unknown_upstream".to_owned()));
}

#[tokio::test]
async fn all_may_be_forced_to_one_and_the_weights_are_there_afterwards() {
    let split = split(TrafficSplitBuilder::default());
    let handle = split.handle();
    handle.force(Some("new")).unwrap();
    assert_eq!(handle.forced().map(|name| &**name), Some("new"));
    assert_eq!(ask(&split, chat("a")).await, "new forced");
    handle.set_weights(&[1, 0]).unwrap();
    assert_eq!(ask(&split, chat("a")).await, "new forced");
    handle.force(None).unwrap();
    assert_eq!(ask(&split, chat("a")).await, "old weight");
    assert!(handle.force(Some("newer")).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_takes_no_requests_gives_its_share_to_the_others_and_gets_it_back() {
    let stats = Stats::default();
    let all_new = |spread| {
        let builder = TrafficSplitBuilder::default().weights([1, 999_999]);
        split(builder.stats(&stats).spread_unavailable(spread))
    };
    let (spreading, stubborn) = (all_new(true), all_new(false));
    let cell = stats.availability("new");
    let until = Some(Instant::now() + Duration::from_secs(5));
    cell.publish(Availability::Unavailable { until });
    assert_eq!(ask(&spreading, chat("a")).await, "old spread");
    assert_eq!(ask(&stubborn, chat("a")).await, "new weight");
    // Then it is probed, by one request a second.
    advance(Duration::from_secs(5)).await;
    for _ in 0..3 {
        assert_eq!(ask(&spreading, chat("a")).await, "new weight");
        assert_eq!(ask(&spreading, chat("a")).await, "old spread");
        advance(Duration::from_secs(1)).await;
    }
    cell.publish(Availability::Available);
    assert_eq!(ask(&spreading, chat("a")).await, "new weight");
    // Where nobody else has a share, nothing is gained by sparing it.
    cell.publish(Availability::Unavailable { until: None });
    spreading.handle().set_weights(&[0, 1]).unwrap();
    assert_eq!(ask(&spreading, chat("a")).await, "new weight");
}

#[tokio::test(start_paused = true)]
async fn a_target_in_slow_start_gets_what_it_may_of_its_share() {
    let stats = Stats::default();
    let split = split(
        TrafficSplitBuilder::default()
            .weights([50, 50])
            .stats(&stats),
    );
    stats.availability("new").publish(Availability::SlowStart {
        since: Instant::now(),
        over: Duration::from_secs(10),
        floor: 111,
    });
    // 0.111 to 1: a tenth.
    let new = share_of_new(&split).await;
    assert!((60..140).contains(&new), "{new}");
    advance(Duration::from_secs(10)).await;
    assert!(share_of_new(&split).await > 400);
}

#[tokio::test]
async fn a_target_that_does_not_serve_the_endpoint_gives_its_share_to_the_others() {
    let all = Upstreams::builder()
        .add(target("old"))
        .add(target("new").endpoints([Endpoint::Embeddings]));
    let builder = TrafficSplitBuilder::default().weights([0, 1]);
    let split = builder.split(&all.build().unwrap()).unwrap();
    assert_eq!(ask(&split, chat("a")).await, "old weight");
}

#[tokio::test]
async fn a_target_that_a_request_may_not_be_sent_to_gives_its_share_to_the_others() {
    let split = split(TrafficSplitBuilder::default().weights([1, 1]));
    let only = |name: &str, id: &str| {
        let mut request = chat(id);
        let allowed = AllowedUpstreams::new([name]);
        request.extensions_mut().insert(allowed);
        request
    };
    for name in ["old", "new"] {
        for number in 0..20 {
            let id = format!("req-{number}");
            let answered = ask(&split, only(name, &id)).await;
            assert_eq!(answered, format!("{name} weight"));
        }
    }
    // What has no weight gets nothing even so, and what is chosen for all is refused.
    split.handle().set_weights(&[1, 0]).unwrap();
    let response = split.clone().oneshot(only("new", "a")).await.unwrap();
    assert_eq!(refusal(response).await.1, "upstream_not_allowed");
}

#[tokio::test]
async fn a_split_may_be_a_target_of_another_and_the_innermost_says_who_answered() {
    let inner = TrafficSplitBuilder::default().salt("inner").weights([0, 1]);
    let inner = inner.split(&upstreams(&["a", "b"])).unwrap();
    let all = Upstreams::builder()
        .add(target("old"))
        .add(Target::new("inner", inner));
    let outer = TrafficSplitBuilder::default().weights([0, 1]);
    let outer = outer.split(&all.build().unwrap()).unwrap();
    assert_eq!(ask(&outer, chat("a")).await, "b weight");
}

#[tokio::test]
async fn the_header_names_what_served() {
    let served = service_fn(|_: Request<RequestBody>| async {
        let mut response = Response::new(ResponseBody::empty());
        response.extensions_mut().insert(Served::by("azure".into()));
        Ok::<_, std::convert::Infallible>(response)
    });
    let all = Upstreams::builder().add(Target::new("chain", served));
    let split = TrafficSplitBuilder::default().split(&all.build().unwrap());
    let response = split.unwrap().oneshot(chat("a")).await.unwrap();
    assert_eq!(response.headers()[X_RELAY_UPSTREAM], "azure");
    assert_eq!(
        &*response.extensions().get::<SplitChoice>().unwrap().target,
        "chain"
    );
}

#[tokio::test]
async fn a_baseline_may_be_any_service_and_has_a_name() {
    let layer = TrafficSplitLayer::builder()
        .baseline("mine")
        .weights([1, 1])
        .allow_override(true);
    let layer = layer.build(&upstreams(&["new"])).unwrap();
    let names: Vec<_> = layer.handle().targets().map(ToString::to_string).collect();
    assert_eq!(names, ["mine", "new"]);
    let mine = layer.layer(service_fn(|request: Request<RequestBody>| async move {
        let chosen = request
            .extensions()
            .get::<crate::message::Chosen>()
            .unwrap();
        assert_eq!(chosen.as_str(), "mine");
        Err::<Response<ResponseBody>, _>(StatusCode::IM_A_TEAPOT)
    }));
    let mut request = chat("a");
    let headers = request.headers_mut();
    headers.insert(X_RELAY_UPSTREAM, "mine".parse().unwrap());
    assert_eq!(
        mine.oneshot(request).await.unwrap_err(),
        StatusCode::IM_A_TEAPOT
    );
}

//! Where requests go, and what comes back.

use super::*;
use crate::{
    fallback::FallbackLayer,
    message::{Deadline, Effects, Endpoint, Outcome, Phase, Served},
    reserve::{AttemptLimit, Attempts, RetryBudget, X_RELAY_ATTEMPTS, X_RELAY_FAILED_ATTEMPTS},
};
use http_body_util::BodyExt;
use tower_layer::Layer;

#[tokio::test(start_paused = true)]
async fn a_failure_goes_to_the_next_target_at_once_and_a_success_nowhere_else() {
    let [a, b, c] = [503, 200, 200].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .chain(&upstreams([&a, &b, &c]))
        .unwrap();
    let Ok(response) = chain.clone().oneshot(chat()).await;
    assert_eq!(response.headers()[X_RELAY_ATTEMPTS], "2");
    assert_eq!(response.headers()[X_RELAY_FAILED_ATTEMPTS], "a overloaded");
    let failed = Attempts::of(&response).unwrap().failed();
    assert_eq!(failed[0].upstream.as_deref(), Some("a"));
    assert_eq!(ask(&chain, chat()).await, (200, "answer 200".into(), 0));
    assert_eq!([a.calls(), b.calls(), c.calls()], [2, 2, 0]);
    let counts = chain.handle().counts();
    assert_eq!(
        (counts.fell_back, counts.rescued, counts.exhausted),
        (2, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_success_leaves_no_trace() {
    let [a, b] = [200, 200].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let Ok(response) = chain.clone().oneshot(chat()).await;
    assert!(response.headers().is_empty());
    assert_eq!(
        chain.handle().counts(),
        super::super::FallbackCounts::default()
    );
    assert_eq!(b.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_primarys_own_answer_is_returned_when_all_fail() {
    let a = Scripted::new(|call| {
        let mut response = answer(429, format!("primary {call}"));
        response
            .headers_mut()
            .insert("retry-after", "7".parse().unwrap());
        response
            .extensions_mut()
            .insert(Served::by("openai".into()));
        response
    });
    let [b, c] = [500, 502].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .chain(&upstreams([&a, &b, &c]))
        .unwrap();
    let Ok(response) = chain.clone().oneshot(chat()).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.headers()[X_RELAY_ATTEMPTS], "3");
    assert_eq!(
        response.headers()[X_RELAY_FAILED_ATTEMPTS],
        "b server_error, c server_error"
    );
    assert_eq!(
        Outcome::of(&response),
        Some(Outcome::RateLimited {
            retry_after: Some(Duration::from_secs(7))
        })
    );
    assert_eq!(read(response).await.1, "primary 0");
    assert_eq!(chain.handle().counts().exhausted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_finds_fault_with_the_request_does_not_speak_for_the_primary() {
    let [a, b, c] = [503, 400, 200].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .chain(&upstreams([&a, &b, &c]))
        .unwrap();
    assert_eq!(ask(&chain, chat()).await.0, 503);
    assert_eq!([b.calls(), c.calls()], [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_has_effects_goes_to_the_primary_and_no_further() {
    let [a, b] = [503, 200].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .sticky(Duration::from_secs(60))
        .chain(&upstreams([&a, &b]))
        .unwrap();
    // Even when another target has taken over.
    assert_eq!(ask(&chain, chat()).await.0, 200);
    let streamed = RequestBody::new(RequestBody::json(CHAT).boxed());
    let mut other = chat();
    other.extensions_mut().insert(Endpoint::Other);
    for request in [
        post("/v1/responses", "{}"),
        post("/v1/chat/completions", r#"{"store":true}"#),
        post("/v1/chat/completions", r#"{"model":"a","model":"b"}"#),
        post("/v1/files", "{}"),
        post("/v1/threads", "{}"),
        Request::post("/v1/chat/completions")
            .body(streamed)
            .unwrap(),
        other,
    ] {
        let shown = format!("{request:?}");
        let (before, start) = (a.calls(), Instant::now());
        let Ok(response) = chain.clone().oneshot(request).await;
        assert_eq!(response.status(), 503, "{shown}");
        assert!(
            !response.headers().contains_key(X_RELAY_ATTEMPTS),
            "{shown}"
        );
        assert_eq!((a.calls() - before, start.elapsed()), (1, Duration::ZERO));
    }
    assert_eq!(b.calls(), 1);
    // A list of models is no more than an answer.
    let models = Request::get("/v1/models")
        .body(RequestBody::empty())
        .unwrap();
    assert_eq!(ask(&chain, models).await.0, 200);
    // Nor is what a route of one's own says so of.
    let mut quote = post("/quotes", "{}");
    quote.extensions_mut().insert(Effects::Generate);
    assert_eq!(ask(&chain, quote).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn each_target_gets_the_request_as_it_came() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let target = |name: &'static str, status| {
        let seen = Arc::clone(&seen);
        let stack = crate::testing::answering(move |mut request: Request<RequestBody>| {
            seen.lock().unwrap().push((
                name,
                request.headers()["x-own"].clone(),
                request.body().as_bytes().unwrap().as_ptr().addr(),
            ));
            let headers = request.headers_mut();
            headers.insert("x-own", "of this leg".parse().unwrap());
            answer(status, "")
        });
        Target::new(name, stack)
    };
    let targets = Upstreams::builder()
        .add(target("a", 500))
        .add(target("b", 200));
    let chain = FallbackLayer::builder()
        .chain(&targets.build().unwrap())
        .unwrap();
    let mut request = chat();
    let headers = request.headers_mut();
    headers.insert("x-own", "of the caller".parse().unwrap());
    assert_eq!(ask(&chain, request).await.0, 200);
    let seen = seen.lock().unwrap();
    let [(_, first, bytes), (_, second, same)] = &seen[..] else {
        panic!("both are asked: {seen:?}");
    };
    assert_eq!((first, second), (second, first));
    assert_eq!(second, "of the caller");
    assert_eq!(bytes, same, "the bytes were copied");
}

#[tokio::test(start_paused = true)]
async fn a_layer_stands_over_any_primary_and_leaves_its_errors_alone() {
    #[derive(Debug, PartialEq)]
    struct Foreign;
    let backup = Scripted::status(200);
    let layer = FallbackLayer::builder()
        .build(&upstreams([&backup]))
        .unwrap();
    let answering =
        service_fn(|_: Request<RequestBody>| async { Ok::<_, Foreign>(answer(500, "primary")) });
    let failing =
        service_fn(|_: Request<RequestBody>| async { Err::<Response<ResponseBody>, _>(Foreign) });
    let response = layer.layer(answering).oneshot(chat()).await.unwrap();
    assert_eq!(response.status(), 200);
    // It names no upstream, and neither does the list.
    assert_eq!(
        response.headers()[X_RELAY_FAILED_ATTEMPTS],
        "? server_error"
    );
    let error = layer.layer(failing).oneshot(chat()).await.unwrap_err();
    assert_eq!((error, backup.calls()), (Foreign, 1));
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_not_ready_keeps_nobody_waiting_but_those_who_need_it() {
    #[derive(Clone)]
    struct NeverReady;
    impl Service<Request<RequestBody>> for NeverReady {
        type Response = Response<ResponseBody>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Pending
        }

        fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
            panic!("called unready")
        }
    }
    let a = Scripted::new(|call| answer(if call == 0 { 500 } else { 200 }, ""));
    let targets = Upstreams::builder()
        .add(Target::new("a", a.stack.clone()))
        .add(Target::new("b", NeverReady));
    let chain = FallbackLayer::builder()
        .deadline(Duration::from_secs(9))
        .chain(&targets.build().unwrap())
        .unwrap();
    let needs = ask(&chain, chat());
    let needs_not = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ask(&chain, chat()).await
    };
    let (needs, needs_not) = tokio::join!(needs, needs_not);
    assert_eq!((needs.0, needs.2), (504, 9_000));
    assert_eq!((needs_not.0, needs_not.2), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_its_own_ends_silence_and_one_from_outside_is_not_moved() {
    let silent = service_fn(|request: Request<RequestBody>| async move {
        assert!(Deadline::of(request.extensions()).is_some());
        std::future::pending::<Result<_, Infallible>>().await
    });
    let targets = Upstreams::builder()
        .add(Target::new("a", silent))
        .add(Target::new("b", Scripted::status(200).stack));
    let chain = FallbackLayer::builder()
        .deadline(Duration::from_secs(7))
        .chain(&targets.build().unwrap())
        .unwrap();
    let start = Instant::now();
    let Ok(response) = chain.clone().oneshot(chat()).await;
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.layer, rejection.reason),
        ("fallback", Reason::Timeout(Phase::Head))
    );

    let mut request = chat();
    request
        .extensions_mut()
        .insert(Deadline::after(Duration::from_secs(60)));
    let call = tokio::time::timeout(Duration::from_secs(30), chain.oneshot(request));
    assert!(call.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_after_the_deadline() {
    let slow = service_fn(|_: Request<RequestBody>| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, Infallible>(answer(500, "late"))
    });
    let b = Scripted::status(200);
    let targets = Upstreams::builder()
        .add(Target::new("a", slow))
        .add(Target::new("b", b.stack.clone()));
    let chain = FallbackLayer::builder()
        .chain(&targets.build().unwrap())
        .unwrap();
    let mut request = chat();
    request
        .extensions_mut()
        .insert(Deadline::after(Duration::from_secs(5)));
    assert_eq!(ask(&chain, request).await, (500, "late".into(), 5_000));
    assert_eq!(b.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn services_and_clones_share_what_a_handle_switches() {
    let backup = Scripted::status(200);
    let layer = FallbackLayer::builder()
        .build(&upstreams([&backup]))
        .unwrap();
    let primary = Scripted::status(503);
    let services = [
        layer.layer(primary.stack.clone()),
        layer.clone().layer(primary.stack.clone()),
    ];
    let handle = layer.handle();
    for (enabled, status) in [(true, 200), (false, 503), (true, 200)] {
        handle.set_enabled(enabled);
        assert_eq!(handle.is_enabled(), enabled);
        for service in &services {
            assert_eq!(ask(service, chat()).await.0, status);
        }
    }
    assert_eq!(handle.counts().fell_back, 4);
}

#[tokio::test(start_paused = true)]
async fn switched_off_a_request_on_its_way_goes_no_further() {
    let b = Scripted::status(200);
    let slow = service_fn(|_: Request<RequestBody>| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, Infallible>(answer(500, ""))
    });
    let layer = FallbackLayer::builder().build(&upstreams([&b])).unwrap();
    let service = layer.layer(slow);
    let switch = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        layer.handle().set_enabled(false);
    };
    let ((status, ..), ()) = tokio::join!(ask(&service, chat()), switch);
    assert_eq!((status, b.calls()), (500, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_ends_the_attempt_that_runs_and_owes_for_it_alone() {
    let a = Scripted::status(500);
    let running = Arc::new(());
    let seen = Arc::clone(&running);
    let silent = service_fn(move |_: Request<RequestBody>| {
        let running = Arc::clone(&seen);
        async move {
            std::future::pending::<()>().await;
            drop(running);
            Ok::<_, Infallible>(answer(200, ""))
        }
    });
    let targets = Upstreams::builder()
        .add(Target::new("a", a.stack.clone()))
        .add(Target::new("b", silent.clone()))
        .add(Target::new("c", silent));
    let budget = RetryBudget::new(0, 5);
    let chain = FallbackLayer::builder()
        .budget(budget.clone())
        .chain(&targets.build().unwrap())
        .unwrap();
    let limit = AttemptLimit::new(6);
    let mut request = chat();
    request.extensions_mut().insert(limit.clone());
    let call = tokio::time::timeout(Duration::from_secs(1), chain.oneshot(request));
    assert!(call.await.is_err());
    assert_eq!(Arc::strong_count(&running), 1, "something goes on");
    assert_eq!((limit.left(), limit.is_set_aside()), (4, false));
    assert_eq!(budget.available(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_budget_bounds_what_backups_are_given() {
    let [a, b] = [503, 200].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .budget(RetryBudget::new(10, 4))
        .chain(&upstreams([&a, &b]))
        .unwrap();
    for _ in 0..100 {
        ask(&chain, chat()).await;
    }
    assert_eq!(b.calls(), 4 + 10);

    let chain = FallbackLayer::builder()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    for _ in 0..1_000 {
        assert_eq!(ask(&chain, chat()).await.0, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_requests_each_that_fails_is_asked_once_more() {
    let a = Scripted::new(|call| answer(if call % 100 == 7 { 500 } else { 200 }, ""));
    let b = Scripted::status(200);
    let chain = FallbackLayer::builder()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    for _ in 0..10_000 {
        assert_eq!(ask(&chain, chat()).await.0, 200);
    }
    assert_eq!((a.calls(), b.calls()), (10_000, 100));
}

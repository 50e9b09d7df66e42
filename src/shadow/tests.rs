mod bounds;

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Comparison, ShadowBuilder, ShadowHandle, ShadowLayer, X_RELAY_SHADOW};
use crate::{
    client::Target,
    message::{
        AllowedUpstreams, Bill, Effects, Media, RequestBody, RequestId, ResponseBody, Shadowed,
    },
    reserve::AttemptLimit,
    testing::{answering, read},
    worker::ShutdownHandle,
};

const ANSWER: &str = r#"{"id":"1","model":"m","choices":[{"message":{"content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello you\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

struct Running {
    layer: ShadowLayer,
    handle: ShadowHandle,
    stop: ShutdownHandle,
    worker: tokio::task::JoinHandle<()>,
    comparisons: UnboundedReceiver<Comparison>,
}

fn run(builder: ShadowBuilder, target: Target) -> Running {
    let (told, comparisons) = unbounded_channel();
    let sink = move |comparison: &Comparison| drop(told.send(comparison.clone()));
    let (layer, worker) = builder.percent(100).sink(sink).build(target).unwrap();
    Running {
        handle: layer.handle(),
        stop: worker.shutdown_handle(),
        worker: tokio::spawn(worker),
        layer,
        comparisons,
    }
}

fn json(text: &'static str) -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", "application/json");
    ResponseBody::wrap(response.body(ResponseBody::from(text)).unwrap())
}

fn chat() -> Request<RequestBody> {
    let body = RequestBody::json(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    Request::post("/v1/chat/completions").body(body).unwrap()
}

fn answers(text: &'static str) -> Target {
    Target::new(
        "candidate",
        service_fn(move |_| async move { Ok(json(text)) }),
    )
}

fn hangs() -> Target {
    let service = service_fn(|_: Request<RequestBody>| pending::<Result<_, Infallible>>());
    Target::new("candidate", service)
}

async fn ask(running: &Running) -> String {
    let primary = running.layer.layer(answering(|_| json(ANSWER)));
    read(primary.oneshot(chat()).await.unwrap()).await.1
}

#[tokio::test]
async fn both_answers_are_compared_and_the_caller_gets_the_first() {
    let target = Target::new(
        "candidate",
        service_fn(|_| async {
            let body = ResponseBody::from(STREAM).with_media(Media::EventStream);
            Ok(Response::new(body))
        }),
    );
    let mut running = run(ShadowLayer::builder(), target);
    assert_eq!(ask(&running).await, ANSWER);
    let comparison = running.comparisons.recv().await.unwrap();
    let (primary, shadow) = (&comparison.primary, &comparison.shadow);
    assert!(
        primary.is_success() && shadow.is_success(),
        "{comparison:?}"
    );
    assert_eq!(primary.usage.unwrap().output, 2);
    assert_eq!((primary.text_chars, shadow.text_chars), (11, 9));
    assert_eq!(shadow.finish_reason.as_deref(), Some("stop"));
    assert_eq!(comparison.similarity, Some(0.5));
    assert!(primary.deviations.is_empty() && shadow.deviations.is_empty());
    assert_eq!((running.handle.sent(), running.handle.dropped()), (1, 0));
}

#[tokio::test]
async fn what_may_not_be_sent_to_the_target_is_not_copied() {
    let (told, mut copies) = unbounded_channel();
    let target = service_fn(move |request: Request<RequestBody>| {
        let _ = told.send(request);
        async { Ok(json(ANSWER)) }
    });
    let running = run(ShadowLayer::builder(), Target::new("candidate", target));
    let primary = running.layer.layer(answering(|_| json(ANSWER)));
    for (allowed, sent) in [(&["eu"][..], 0), (&["eu", "candidate"], 1)] {
        let mut request = chat();
        let allowed = AllowedUpstreams::new(allowed.iter().copied());
        request.extensions_mut().insert(allowed.clone());
        read(primary.clone().oneshot(request).await.unwrap()).await;
        assert_eq!((running.handle.sent(), running.handle.dropped()), (sent, 0));
        if sent > 0 {
            // The target may choose among others, and is bound as well.
            let copy = copies.recv().await.unwrap();
            assert_eq!(copy.extensions().get(), Some(&allowed));
        }
    }
}

#[tokio::test]
async fn a_copy_is_marked_and_shares_nothing_that_is_counted() {
    let (told, mut copies) = unbounded_channel();
    let target = service_fn(move |request: Request<RequestBody>| {
        let _ = told.send(request);
        async { Ok(json(ANSWER)) }
    });
    let running = run(
        ShadowLayer::builder().model("other"),
        Target::new("candidate", target),
    );
    let mut request = chat();
    Bill::of(request.extensions_mut());
    request.extensions_mut().insert(RequestId::generate());
    let id = request.extensions().get::<RequestId>().cloned();
    let primary = running.layer.layer(answering(|_| json(ANSWER)));
    let response = primary.oneshot(request).await.unwrap();
    read(response).await;
    let copy = copies.recv().await.unwrap();
    assert_eq!(copy.headers()[X_RELAY_SHADOW], "1");
    assert_eq!(copy.body().model().as_deref(), Some("other"));
    let extensions = copy.extensions();
    assert_eq!(extensions.get(), Some(&Shadowed));
    assert_eq!(extensions.get::<RequestId>(), id.as_ref());
    assert!(Bill::find(extensions).is_none());
    assert_eq!(
        AttemptLimit::of(extensions).map(AttemptLimit::left),
        Some(0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_hangs_delays_nobody_and_ends_at_its_deadline() {
    let mut running = run(
        ShadowLayer::builder().deadline(Duration::from_secs(30)),
        hangs(),
    );
    let began = tokio::time::Instant::now();
    assert_eq!(ask(&running).await, ANSWER);
    assert_eq!(began.elapsed(), Duration::ZERO);
    let comparison = running.comparisons.recv().await.unwrap();
    assert_eq!(&*comparison.shadow.outcome, "timeout");
    assert!(comparison.shadow.latency_ms >= 30_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_end_is_read_to_the_cap_only() {
    let endless = service_fn(|_: Request<RequestBody>| async {
        let frames = futures_util::stream::repeat_with(|| {
            Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(&[b' '; 1024])))
        });
        Ok(Response::new(ResponseBody::new(StreamBody::new(frames))))
    });
    let mut running = run(
        ShadowLayer::builder().max_body(10_000),
        Target::new("candidate", endless),
    );
    ask(&running).await;
    let comparison = running.comparisons.recv().await.unwrap();
    assert_eq!(&*comparison.shadow.outcome, "capped");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_requests_are_not_copied_and_that_is_counted() {
    let running = run(ShadowLayer::builder().concurrency(2), hangs());
    for _ in 0..5 {
        ask(&running).await;
    }
    assert_eq!((running.handle.sent(), running.handle.dropped()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_running_after_the_shutdown() {
    struct Alive(Arc<AtomicU32>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let alive = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&alive);
    let target = service_fn(move |_: Request<RequestBody>| {
        count.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&count));
        async move {
            pending::<()>().await;
            drop(alive);
            Ok(json(ANSWER))
        }
    });
    let mut running = run(ShadowLayer::builder(), Target::new("candidate", target));
    ask(&running).await;
    while alive.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    running.stop.shutdown();
    running.worker.await.unwrap();
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    // What was let go of says nothing of anybody.
    assert!(running.comparisons.try_recv().is_err());
    assert_eq!(running.handle.compared(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_takes_only_their_own_answer_along() {
    let mut running = run(ShadowLayer::builder(), answers(ANSWER));
    let hanging = service_fn(|_: Request<RequestBody>| {
        pending::<Result<Response<ResponseBody>, Infallible>>()
    });
    let mut primary = running.layer.layer(hanging);
    drop(primary.call(chat()));
    let comparison = running.comparisons.recv().await.unwrap();
    assert_eq!(&*comparison.primary.outcome, "cancelled");
    assert!(comparison.shadow.is_success());
}

#[tokio::test]
async fn what_an_upstream_keeps_is_never_copied() {
    let running = run(ShadowLayer::builder(), answers(ANSWER));
    let primary = running.layer.layer(answering(|_| json(ANSWER)));
    for request in [
        Request::post("/v1/files").body(RequestBody::bytes("x")),
        Request::post("/v1/responses").body(RequestBody::json("{}")),
        Request::get("/v1/models").body(RequestBody::empty()),
    ] {
        primary.clone().oneshot(request.unwrap()).await.unwrap();
    }
    running.handle.set_percent(0);
    primary.clone().oneshot(chat()).await.unwrap();
    assert_eq!(running.handle.sent(), 0);
    running.handle.set_percent(100);
    let quote = Request::get("/quotes/ACME").extension(Effects::Generate);
    let quote = quote.body(RequestBody::empty()).unwrap();
    primary.oneshot(quote).await.unwrap();
    assert_eq!(running.handle.sent(), 1);
}

#[tokio::test]
async fn without_a_worker_nothing_is_copied_and_all_goes_on() {
    let (layer, worker) = ShadowLayer::builder()
        .percent(100)
        .build(answers(ANSWER))
        .unwrap();
    drop(worker);
    let primary = layer.layer(answering(|_| json(ANSWER)));
    let response = primary.oneshot(chat()).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, ANSWER);
    assert_eq!(layer.handle().dropped(), 1);
}

#[test]
fn bounds_must_bound() {
    for (builder, field) in [
        (ShadowLayer::builder().percent(101), "percent"),
        (ShadowLayer::builder().concurrency(0), "concurrency"),
        (ShadowLayer::builder().deadline(Duration::ZERO), "deadline"),
        (ShadowLayer::builder().model(" "), "model"),
    ] {
        let error = builder.build(answers(ANSWER)).unwrap_err();
        assert_eq!(error.field(), field);
    }
}

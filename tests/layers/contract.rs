//! What every layer promises, as tests to be made for any layer.
//!
//! ```ignore
//! contract_tests!(my_layer, || MyLayer::default());
//! // A layer whose errors are answers, and one that keeps state:
//! contract_tests!(my_edge, || MyEdge::default(), errors: answered);
//! contract_tests!(my_limit, || MyLimit::new(1), state: async |layer, services| { .. });
//! ```
//!
//! The tests run inside tokio's runtime in paused time. The layer must pass a chat request for the model `fast`, and may do with it what it likes. If it takes a secret, let
//! it be [`SECRET`]. The closure after `state:` is given the layer and two services that must share its state, each with what its
//! inner service saw, and makes sure of it: by a change through a handle, or by using up with one what the other lacks.

use std::{
    convert::Infallible,
    fmt::Debug,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, channel::Channel};
use tokio_test::{assert_pending, assert_ready, task};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_relay::message::{End, RequestBody, ResponseBody};
use tower_service::Service;

use crate::probe::{Foreign, Probe, Seen, Step};

/// What must never be shown: it stands in the tests' requests and answers, and should be the key of a layer that has one.
pub(crate) const SECRET: &str = "sk-hush-4711";

/// Makes the tests of one layer, in a module of its name.
macro_rules! contract_tests {
    ($name:ident, $make:expr $(, errors: $errors:ident)? $(, state: $state:expr)?) => {
        mod $name {
            #[allow(unused_imports, reason = "not every layer's expression needs them")]
            use super::*;
            use $crate::contract;

            #[tokio::test(start_paused = true)]
            async fn the_instance_that_was_ready_is_the_one_called() {
                contract::calls_what_was_ready(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn an_unready_inner_service_is_waited_for() {
                contract::waits_for_readiness(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn repeated_polls_for_readiness_change_nothing() {
                contract::readiness_is_idempotent(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn a_dropped_future_lets_go_of_the_inner_one() {
                contract::drops_the_future(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn an_answer_settles_once_however_it_ends() {
                contract::settles_once(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn a_broken_answer_stays_broken() {
                contract::passes_a_broken_body(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn unknown_endpoints_stream_through_untouched() {
                contract::passes_unknown_endpoints(($make)()).await;
            }

            #[tokio::test(start_paused = true)]
            async fn services_bodies_and_futures_go_between_threads() {
                contract::crosses_threads(($make)());
            }

            #[tokio::test(start_paused = true)]
            async fn debug_shows_no_secret() {
                contract::shows_no_secret(($make)());
            }

            contract_tests!(@errors $make $(, $errors)?);
            $(contract_tests!(@state $make, $state);)?
        }
    };
    (@errors $make:expr) => {
        #[tokio::test(start_paused = true)]
        async fn foreign_errors_pass_unchanged() {
            contract::passes_errors(($make)());
        }
    };
    (@errors $make:expr, answered) => {
        #[tokio::test(start_paused = true)]
        async fn foreign_errors_become_answers() {
            contract::answers_errors(($make)());
        }
    };
    (@state $make:expr, $state:expr) => {
        #[tokio::test(start_paused = true)]
        async fn clones_share_state() {
            let layer = ($make)();
            let services = contract::cloned(&layer);
            ($state)(layer, services).await;
        }

        #[tokio::test(start_paused = true)]
        async fn services_of_one_layer_share_state() {
            let layer = ($make)();
            let services = contract::layered_twice(&layer);
            ($state)(layer, services).await;
        }

        #[tokio::test(start_paused = true)]
        async fn services_of_a_cloned_layer_share_state() {
            let layer = ($make)();
            let services = [contract::probed(&layer), contract::probed(&layer.clone())];
            ($state)(layer, services).await;
        }
    };
}

/// A service as all layers make it.
pub(crate) trait Stack:
    Service<Request<RequestBody>, Response = Response<ResponseBody>, Error: Debug, Future: Send>
    + Clone
    + Debug
    + Send
    + Sync
{
}

impl<S> Stack for S where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>, Error: Debug, Future: Send>
        + Clone
        + Debug
        + Send
        + Sync
{
}

/// A chat request with secrets in it.
pub(crate) fn chat() -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {SECRET}"))
        .body(RequestBody::json(format!(r#"{{"model":"fast","messages":[{{"role":"user","content":"{SECRET}"}}]}}"#)))
        .unwrap()
}

/// A service on a probe, and what the probe saw.
pub(crate) type Probed<S> = (S, Arc<Seen>);

pub(crate) fn probed<L: Layer<Probe>>(layer: &L) -> Probed<L::Service> {
    let (probe, seen) = Probe::new();
    (layer.layer(probe), seen)
}

/// Two services of one layer, each on a probe of its own.
pub(crate) fn layered_twice<L: Layer<Probe>>(layer: &L) -> [Probed<L::Service>; 2] {
    [probed(layer), probed(layer)]
}

/// A service and its clone.
pub(crate) fn cloned<L: Layer<Probe, Service: Clone>>(layer: &L) -> [Probed<L::Service>; 2] {
    let one = probed(layer);
    [one.clone(), one]
}

/// The answer of a service that has all it needs.
fn answer<S: Stack>(service: S, request: Request<RequestBody>) -> Response<ResponseBody> {
    let mut call = task::spawn(service.oneshot(request));
    assert_ready!(call.poll()).unwrap()
}

pub(crate) fn calls_what_was_ready<L: Layer<Probe, Service: Stack>>(layer: L) {
    let (mut service, seen) = probed(&layer);
    // The probe panics if any of these reaches it by an instance that was not ready.
    for _ in 0..3 {
        let mut ready = task::spawn(service.ready());
        let ready = assert_ready!(ready.poll()).unwrap();
        // A clone is made between readiness and call, as `axum` and `Buffer` do it.
        let clone = ready.clone();
        let mut call = task::spawn(ready.call(chat()));
        assert_ready!(call.poll()).unwrap();
        answer(clone, chat());
        for _ in 0..2 {
            seen.take_request().expect("both are passed on");
        }
    }
}

pub(crate) fn waits_for_readiness<L: Layer<Probe, Service: Stack>>(layer: L) {
    let (service, seen) = probed(&layer);
    seen.play(|script| script.ready = Step::Hangs);
    let mut call = task::spawn(service.oneshot(chat()));
    assert_pending!(call.poll());
    assert_eq!(seen.requests(), 0);
    seen.play(|script| script.ready = Step::Goes);
    assert!(call.is_woken(), "nobody was told that the inner service is ready");
    assert_eq!(assert_ready!(call.poll()).unwrap().status(), StatusCode::OK);
    assert_eq!(seen.requests(), 1);
}

pub(crate) fn readiness_is_idempotent<L: Layer<Probe, Service: Stack>>(layer: L) {
    let (mut service, seen) = probed(&layer);
    for _ in 0..3 {
        let mut ready = task::spawn(service.ready());
        assert_ready!(ready.poll()).unwrap();
    }
    let mut call = task::spawn(service.call(chat()));
    assert_ready!(call.poll()).unwrap();
    assert_eq!(seen.requests(), 1);
}

pub(crate) fn drops_the_future<L: Layer<Probe, Service: Stack>>(layer: L) {
    let (mut service, seen) = probed(&layer);
    seen.play(|script| script.head = Step::Hangs);
    for polled in [false, true] {
        let mut ready = task::spawn(service.ready());
        assert_ready!(ready.poll()).unwrap();
        drop(ready);
        let mut call = task::spawn(service.call(chat()));
        if polled {
            assert_pending!(call.poll());
            assert_eq!(seen.futures(), 1);
        }
        drop(call);
        assert_eq!(seen.futures(), 0);
    }
    // What was given up does not stand in the way of what comes.
    seen.play(|script| script.head = Step::Goes);
    assert_eq!(answer(service, chat()).status(), StatusCode::OK);
    assert_eq!(seen.futures(), 0);
}

/// How far an answer is read before it is dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Read {
    Nothing,
    OneFrame,
    UntilPending,
    All,
}

pub(crate) fn settles_once<L: Layer<Probe, Service: Stack>>(layer: L) {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
    const PLAIN: (&str, &str) = ("content-type", "text/plain");
    for (media, frames) in [
        (PLAIN, ["some ", "text"]),
        (JSON, [r#"{"model":"#, r#""real"}"#]),
        (EVENTS, ["data: {\"model\":\"real\"}\n\n", "data: [DONE]\n\n"]),
    ] {
        for read in [Read::Nothing, Read::OneFrame, Read::UntilPending, Read::All] {
            let (service, seen) = probed(&layer);
            seen.play(|script| {
                script.headers = vec![media];
                script.frames = frames.into_iter().map(Bytes::from).collect();
                script.body = if read == Read::All { Step::Goes } else { Step::Hangs };
            });
            let outer = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&outer);
            let response = answer(service, chat())
                .map(|body| body.on_end(move |_| _ = counter.fetch_add(1, SeqCst)));

            let mut body = Box::pin(response.into_body());
            let steps = match read {
                Read::Nothing => 0,
                Read::OneFrame => 1,
                Read::UntilPending | Read::All => 10,
            };
            for _ in 0..steps {
                let mut frame = task::spawn(body.frame());
                match frame.poll() {
                    std::task::Poll::Ready(Some(frame)) => drop(frame.unwrap()),
                    _ => break,
                }
            }
            drop(body);
            let case = format!("{media:?} {read:?}");
            assert_eq!(outer.load(SeqCst), 1, "outer callback: {case}");
            assert_eq!(seen.bodies(), 0, "inner body: {case}");
            let ends = seen.ends();
            assert_eq!(ends.len(), 1, "inner callback: {case}");
            match read {
                Read::Nothing | Read::OneFrame => assert_eq!(ends, [End::Cancelled], "{case}"),
                Read::UntilPending => assert_eq!(ends[0] == End::Complete, media == EVENTS, "{case}"),
                Read::All => assert_eq!(ends, [End::Complete], "{case}"),
            }
        }
    }
}

pub(crate) fn passes_a_broken_body<L: Layer<Probe, Service: Stack>>(layer: L) {
    for media in ["application/json", "text/event-stream", "text/plain"] {
        let (service, seen) = probed(&layer);
        seen.play(|script| {
            script.headers = vec![("content-type", media)];
            script.frames = vec![Bytes::from_static(b"data: {\"model\"")];
            script.body = Step::Fails;
        });
        let body = answer(service, chat()).into_body();
        let mut read = task::spawn(body.collect());
        let error = assert_ready!(read.poll()).unwrap_err();
        assert!(is_foreign(&error), "{media}: {error:?}");
        assert_eq!(seen.bodies(), 0);
        assert_eq!(seen.ends().len(), 1);
    }
}

/// Whether the probe's error is this one or among its causes.
fn is_foreign(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Foreign>())
}

pub(crate) fn passes_errors<L>(layer: L)
where
    L: Layer<Probe, Service: Stack + Service<Request<RequestBody>, Error = Foreign>>,
{
    let (service, seen) = probed(&layer);
    seen.play(|script| script.head = Step::Fails);
    let mut call = task::spawn(service.clone().oneshot(chat()));
    assert_eq!(assert_ready!(call.poll()).unwrap_err(), Foreign(7));
    seen.play(|script| script.ready = Step::Fails);
    let mut call = task::spawn(service.oneshot(chat()));
    assert_eq!(assert_ready!(call.poll()).unwrap_err(), Foreign(7));
}

pub(crate) fn answers_errors<L>(layer: L)
where
    L: Layer<Probe, Service: Stack + Service<Request<RequestBody>, Error = Infallible>>,
{
    use tower_relay::message::TransportError;

    for change in [(Step::Goes, Step::Fails), (Step::Fails, Step::Goes)] {
        let (service, seen) = probed(&layer);
        seen.play(|script| (script.ready, script.head) = change);
        let response = answer(service, chat());
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        let cause = response.extensions().get::<TransportError>().expect("the cause in the extensions");
        assert!(is_foreign(cause), "{cause:?}");
    }
}

pub(crate) async fn passes_unknown_endpoints<L>(layer: L)
where
    L: Layer<Probe, Service: Stack + 'static>,
{
    // Neither JSON nor UTF-8, though it says so: whoever looked at it would choke.
    const PARTS: [&[u8]; 3] = [b"{\"model\":\"fast\",", b"\"model\":\xff\xfe", b"data: {\"model\":\"real\"}\r\r\n\0"];
    let (service, seen) = probed(&layer);
    seen.play(|script| {
        script.frames = PARTS.into_iter().map(Bytes::from_static).collect();
        script.headers = vec![("x-own", "kept"), ("content-length", "41"), ("etag", "\"1\"")];
    });
    let (mut sender, body) = Channel::<Bytes, Foreign>::new(1);
    let request = Request::put("/files/upload")
        .header("content-type", "application/json")
        .header("x-own", "kept")
        .header("authorization", "Bearer of-the-caller")
        .body(RequestBody::new(body))
        .unwrap();

    // The body has sent nothing yet, and still the request goes on: nothing waits for it.
    let response = service.oneshot(request).await.unwrap();
    let request = seen.take_request().expect("the request goes on");
    assert_eq!(request.method(), "PUT");
    assert_eq!(request.headers()["x-own"], "kept");
    assert_eq!(request.headers()["content-type"], "application/json");
    let mut received = pin!(request.into_body());
    for part in PARTS {
        sender.send_data(Bytes::from_static(part)).await.unwrap();
        let data = received.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, part);
        assert_eq!(data.as_ptr(), part.as_ptr(), "the bytes were copied");
    }
    drop(sender);
    assert!(received.frame().await.is_none());

    for (name, value) in [("x-own", "kept"), ("content-length", "41"), ("etag", "\"1\"")] {
        assert_eq!(response.headers()[name], value);
    }
    let mut answered = pin!(response.into_body());
    for part in PARTS {
        let data = answered.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data.as_ptr(), part.as_ptr(), "the bytes were copied");
    }
    assert!(answered.frame().await.is_none());
}

pub(crate) fn crosses_threads<L>(layer: L)
where
    L: Layer<Probe, Service: Stack<Future: Send> + 'static> + Clone + Send + Sync + 'static,
{
    fn is_send(_: &impl Send) {}
    fn is_body(_: &(impl Body<Data = Bytes> + Send + Sync + Unpin + 'static)) {}
    fn is_service(_: &(impl Clone + Send + Sync + 'static)) {}

    is_service(&layer);
    let (service, _seen) = probed(&layer);
    is_service(&service);
    let call = service.oneshot(chat());
    is_send(&call);
    let mut call = task::spawn(call);
    is_body(assert_ready!(call.poll()).unwrap().body());
}

pub(crate) fn shows_no_secret<L>(layer: L)
where
    L: Layer<Probe, Service: Stack<Future: Debug>> + Debug,
{
    let (mut service, seen) = probed(&layer);
    seen.play(|script| {
        script.headers = vec![("content-type", "application/json")];
        script.frames = vec![Bytes::from_static(SECRET.as_bytes())];
    });
    let mut ready = task::spawn(service.ready());
    assert_ready!(ready.poll()).unwrap();
    drop(ready);
    let mut shown = vec![format!("{layer:?}"), format!("{service:?}")];
    let call = service.call(chat());
    shown.push(format!("{call:?}"));
    let mut call = task::spawn(call);
    let response = assert_ready!(call.poll()).unwrap();
    shown.push(format!("{:?}", response.body()));
    shown.push(format!("{:?}", seen.take_request().unwrap().body()));
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
    }
}

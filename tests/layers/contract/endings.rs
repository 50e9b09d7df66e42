//! How answers and errors end.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio_test::{assert_pending, assert_ready, task};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_relay::message::{End, Failure, RequestBody, TransportError};
use tower_service::Service;

use super::{Stack, answer, chat, probed};
use crate::probe::{Foreign, Probe, Step};

/// How far an answer is read before it is dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Read {
    Nothing,
    OneFrame,
    UntilPending,
    All,
}

pub(crate) fn settles_once<L: Layer<Probe, Service: Stack>>(layer: L) {
    settles(&layer, false);
}

pub(crate) fn settles_once_with_its_json_held<L: Layer<Probe, Service: Stack>>(layer: L) {
    settles(&layer, true);
}

fn settles<L: Layer<Probe, Service: Stack>>(layer: &L, holds_json: bool) {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
    const PLAIN: (&str, &str) = ("content-type", "text/plain");
    for (media, frames) in [
        (PLAIN, ["some ", "text"]),
        (JSON, [r#"{"model":"#, r#""real"}"#]),
        (
            EVENTS,
            ["data: {\"model\":\"real\"}\n\n", "data: [DONE]\n\n"],
        ),
    ] {
        for read in [Read::Nothing, Read::OneFrame, Read::UntilPending, Read::All] {
            let (service, seen) = probed(layer);
            seen.play(|script| {
                script.headers = vec![media];
                script.frames = frames.into_iter().map(Bytes::from).collect();
                script.body = if read == Read::All {
                    Step::Goes
                } else {
                    Step::Hangs
                };
            });
            if holds_json && media == JSON && read != Read::All {
                let mut call = task::spawn(service.oneshot(chat()));
                assert_pending!(call.poll());
                drop(call);
                assert_eq!(seen.bodies(), 0, "inner body");
                assert_eq!(seen.ends(), [End::Cancelled], "inner callback");
                continue;
            }
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
                    Poll::Ready(Some(frame)) => drop(frame.unwrap()),
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
                Read::UntilPending => {
                    assert_eq!(ends[0] == End::Complete, media == EVENTS, "{case}");
                }
                Read::All => assert_eq!(ends, [End::Complete], "{case}"),
            }
        }
    }
}

pub(crate) async fn passes_a_broken_body<L: Layer<Probe, Service: Stack>>(layer: L) {
    for media in ["application/json", "text/event-stream", "text/plain"] {
        let (service, seen) = probed(&layer);
        seen.play(|script| {
            script.headers = vec![("content-type", media)];
            script.frames = vec![Bytes::from_static(b"data: {\"model\"")];
            script.body = Step::Fails;
        });
        let body = answer(service, chat()).into_body();
        let error = body.collect().await.unwrap_err();
        assert!(is_foreign(&error), "{media}: {error:?}");
        assert_eq!(seen.bodies(), 0);
        assert_eq!(seen.ends().len(), 1);
    }
}

pub(crate) fn settles_what_it_holds<L: Layer<Probe, Service: Stack>>(layer: L) {
    for media in ["application/json", "text/event-stream"] {
        let (service, seen) = probed(&layer);
        seen.play(|script| {
            script.headers = vec![("content-type", media)];
            script.frames = vec![Bytes::from_static(b"data: {\"model\"")];
            script.body = Step::Hangs;
        });
        let mut call = task::spawn(service.oneshot(chat()));
        assert_pending!(call.poll());
        assert_eq!(seen.bodies(), 1, "{media}");
        drop(call);
        assert_eq!(seen.bodies(), 0, "{media}");
        assert_eq!(seen.ends(), [End::Cancelled], "{media}");
    }
}

pub(crate) fn answers_a_broken_body<L: Layer<Probe, Service: Stack>>(layer: L) {
    for media in ["application/json", "text/event-stream"] {
        let (service, seen) = probed(&layer);
        seen.play(|script| {
            script.headers = vec![("content-type", media)];
            script.frames = vec![Bytes::from_static(b"data: {\"model\"")];
            script.body = Step::Fails;
        });
        let response = answer(service, chat());
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{media}");
        assert_eq!(seen.bodies(), 0, "{media}");
        assert_eq!(seen.ends(), [End::Failed(Failure::Body)], "{media}");
    }
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
    for change in [(Step::Goes, Step::Fails), (Step::Fails, Step::Goes)] {
        let (service, seen) = probed(&layer);
        seen.play(|script| (script.ready, script.head) = change);
        let response = answer(service, chat());
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        let cause = response
            .extensions()
            .get::<TransportError>()
            .expect("the cause in the extensions");
        assert!(is_foreign(cause), "{cause:?}");
    }
}

/// Whether the probe's error is this one or among its causes.
fn is_foreign(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<Foreign>)
}

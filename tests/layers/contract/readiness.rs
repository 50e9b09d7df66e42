//! Only what was ready is called, and what is dropped lets go.

use http::StatusCode;
use tokio_test::{assert_pending, assert_ready, task};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::{Stack, answer, chat, probed};
use crate::probe::{Probe, Step};

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
    assert!(
        call.is_woken(),
        "nobody was told that the inner service is ready"
    );
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

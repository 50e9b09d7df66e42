//! Every target is open.

use super::*;
use crate::{
    fallback::{FallbackBuilder, FallbackLayer},
    message::Deadline,
    stats::{Availability, Stats},
};

const SECOND: Duration = Duration::from_secs(1);

/// Open until this long after `start`, then answering.
fn opens(start: Instant, seconds: u32) -> Scripted {
    Scripted::new(move |_| {
        let until = start + SECOND * seconds;
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            answer(200, format!("open until {seconds}"))
        } else {
            open(wait)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_first_that_admits_it() {
    let start = Instant::now();
    let [a, b] = [20, 8].map(|seconds| opens(start, seconds));
    let chain = FallbackBuilder::guide_e()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let (status, text, elapsed) = ask(&chain, chat()).await;
    assert_eq!(
        (status, text.as_str(), elapsed),
        (200, "open until 8", 8_000)
    );
    // Nobody is asked before it was advised.
    assert_eq!((a.calls(), b.calls()), (2, 2));
    let counts = chain.handle().counts();
    assert_eq!((counts.waited, counts.waiting), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_the_refusal_comes_at_once() {
    let [a, b] = [20, 8].map(|seconds| opens(Instant::now(), seconds));
    let chain = FallbackLayer::builder()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let Ok(response) = chain.oneshot(chat()).await;
    assert_eq!(response.headers()["retry-after"], "20");
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason, Reason::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_comes_too_late() {
    let start = Instant::now();
    let [a, b] = [60, 40].map(|seconds| opens(start, seconds));
    let chain = FallbackBuilder::guide_e()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let (status, _, elapsed) = ask(&chain, chat()).await;
    assert_eq!((status, elapsed), (503, 0));

    let c = opens(start, 10);
    let chain = FallbackBuilder::guide_e()
        .chain(&upstreams([&a, &c]))
        .unwrap();
    let mut request = chat();
    let extensions = request.extensions_mut();
    extensions.insert(Deadline::after(SECOND * 5));
    let (status, _, elapsed) = ask(&chain, request).await;
    assert_eq!((status, elapsed), (503, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_its_time_is_over_and_its_attempts_are_not_counted() {
    // Advises a second each time, and never admits.
    let [a, b] = [(); 2].map(|()| Scripted::new(|_| open(SECOND)));
    let chain = FallbackBuilder::guide_e()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let start = Instant::now();
    let Ok(response) = chain.oneshot(chat()).await;
    assert_eq!(start.elapsed(), SECOND * 29);
    assert_eq!((a.calls(), b.calls()), (30, 30));
    assert_eq!(response.headers()["x-relay-failed-attempts"], "b refused");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_hear_of_a_recovery_at_once() {
    let stats = Stats::default();
    let start = Instant::now();
    let recovered = start + SECOND * 3;
    let [a, b] = [(); 2].map(|()| {
        Scripted::new(move |_| {
            if Instant::now() < recovered {
                open(SECOND * 3600)
            } else {
                answer(200, "")
            }
        })
    });
    let chain = FallbackBuilder::guide_e()
        .stats(&stats)
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let recovery = async {
        tokio::time::sleep_until(recovered).await;
        stats.availability("b").publish(Availability::Probing);
    };
    let ((status, _, elapsed), ()) = tokio::join!(ask(&chain, chat()), recovery);
    assert_eq!((status, elapsed), (200, 3_000));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_a_caller_who_leaves_makes_room() {
    let start = Instant::now();
    let a = opens(start, 20);
    let b = opens(start, 20);
    let chain = FallbackBuilder::guide_e()
        .max_waiting(2)
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let waits = || tokio::spawn(chain.clone().oneshot(chat()));
    let waiting = [waits(), waits()];
    tokio::time::sleep(SECOND).await;
    assert_eq!(chain.handle().counts().waiting, 2);
    let (status, _, elapsed) = ask(&chain, chat()).await;
    assert_eq!((status, elapsed), (503, 0));
    assert_eq!(chain.handle().counts().queue_full, 1);

    let [left, stays] = waiting;
    left.abort();
    assert!(left.await.is_err());
    assert_eq!(ask(&chain, chat()).await.2, 19_000);
    let Ok(response) = stays.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(chain.handle().counts().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn only_open_targets_are_waited_for() {
    let a = opens(Instant::now(), 8);
    let b = Scripted::status(500);
    let chain = FallbackBuilder::guide_e()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let (status, _, elapsed) = ask(&chain, chat()).await;
    assert_eq!((status, elapsed), (503, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_admitted_after_a_wait_and_fails_goes_on_as_ever() {
    let start = Instant::now();
    let a = Scripted::new(move |call| {
        if call == 0 {
            open(SECOND)
        } else {
            answer(500, "admitted")
        }
    });
    let b = opens(start, 1);
    let chain = FallbackBuilder::guide_e()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let Ok(response) = chain.oneshot(chat()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["x-relay-failed-attempts"],
        "a refused, b refused, a server_error"
    );
}

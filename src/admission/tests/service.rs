use std::time::Duration;

use http_body_util::BodyExt;
use proptest::{collection::vec, prelude::*};
use tokio::{runtime, task::JoinSet, time};

use super::*;
use crate::{
    key::{Key, KeyBy, Missing},
    message::{Deadline, Outcome, Reason, Refusal},
    testing::{answering, read},
};

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_all_pass_fifty_at_a_time_and_in_their_order() {
    const CALLERS: usize = 10_000;
    let order = Arc::new(Mutex::new((0_usize, 0_usize, Vec::<(u8, usize)>::new())));
    let builder = builder(50, CALLERS)
        .max_pending_in_all(CALLERS)
        .max_wait(Duration::from_secs(100_000));
    let layer = builder.build().unwrap();
    let seen = Arc::clone(&order);
    let service = layer.layer(tower::service_fn(move |request: Request<RequestBody>| {
        let seen = Arc::clone(&seen);
        async move {
            let name = |header: &str| request.headers()[header].to_str().unwrap().to_owned();
            let (level, number) = (
                name("x-priority").parse().unwrap(),
                name("x-name").parse().unwrap(),
            );
            {
                let mut seen = seen.lock().unwrap();
                seen.0 += 1;
                seen.1 = seen.1.max(seen.0);
                seen.2.push((level, number));
            }
            time::sleep(Duration::from_millis(10 + number as u64 % 7)).await;
            let seen = Arc::clone(&seen);
            let body = ResponseBody::from("{}").on_end(move |_| seen.lock().unwrap().0 -= 1);
            Ok::<_, Infallible>(Response::new(body))
        }
    }));

    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let service = service.clone();
        callers.spawn(async move {
            let request = request(&number.to_string(), &(number % 3).to_string());
            let response = service.oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            // The answer is read slowly: its permit is held for as long.
            time::sleep(Duration::from_millis(5)).await;
            response.into_body().collect().await.unwrap();
        });
        // Each has asked before the next one comes.
        tokio::task::yield_now().await;
    }
    callers.join_all().await;

    let (running, most, order) = std::mem::take(&mut *order.lock().unwrap());
    assert_eq!((running, most, order.len()), (0, 50, CALLERS));
    for level in 0..3 {
        let of_level = order.iter().filter(|(own, _)| *own == level);
        assert!(
            of_level.map(|(_, number)| number).is_sorted(),
            "priority {level}"
        );
    }
    let handle = layer.handle();
    assert_eq!((handle.in_flight(), handle.waiting()), (0, 0));
    let counts = handle.counts();
    assert_eq!(counts.admitted, CALLERS as u64);
    assert_eq!(
        counts.shed_full + counts.shed_displaced + counts.shed_late,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_body_has_ended() {
    let (service, upstream, handle) = stack(builder(1, 5));
    let first = waiting(&service, "first", "normal");
    let mut second = waiting(&service, "second", "normal");
    assert_eq!(
        (handle.in_flight(), handle.waiting(), upstream.asked()),
        (1, 1, 1)
    );

    let (head, body) = streamed();
    upstream.next().1.send(head).unwrap();
    let answer = answered(first);
    assert!(second.poll().is_pending());
    assert_eq!(upstream.asked(), 0);
    drop(body);
    answer.into_body().collect().await.unwrap();
    assert!(second.is_woken() && second.poll().is_pending());
    assert_eq!(
        (handle.in_flight(), handle.waiting(), upstream.asked()),
        (1, 0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_or_breaks_lets_the_next_one_in() {
    let (service, upstream, handle) = stack(builder(1, 5));
    let first = waiting(&service, "first", "normal");
    let second = waiting(&service, "second", "normal");
    let third = waiting(&service, "third", "normal");

    let (head, _body) = streamed();
    upstream.next().1.send(head).unwrap();
    drop(answered(first));
    let mut second = second;
    assert!(second.poll().is_pending());
    let (head, body) = streamed();
    upstream.next().1.send(head).unwrap();
    let answer = answered(second);
    body.abort(BodyError::new("reset"));
    assert!(answer.into_body().collect().await.is_err());
    assert!(third.is_woken());
    drop(third);
    assert_eq!((handle.in_flight(), handle.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn overload_is_answered_at_once_with_the_wait_and_is_neither_retried_nor_fallen_back() {
    let (service, _upstream, handle) = stack(builder(1, 1).retry_after(Duration::from_secs(7)));
    let _running = waiting(&service, "running", "normal");
    let _waits = waiting(&service, "waits", "normal");
    let shed = at_once(&service, "shed", "normal");
    assert!(is_shed(&shed));
    assert_eq!(shed.headers()["retry-after"], "7");
    assert_eq!(
        shed.extensions().get::<Rejection>().unwrap().reason,
        Reason::Overloaded
    );
    assert_eq!(
        Outcome::of_head(&shed),
        Some(Outcome::Refused(Refusal::Tenant))
    );
    let (_, text) = read(shed).await;
    assert!(text.contains("relay_overloaded"), "{text}");
    assert_eq!(handle.counts().shed_full, 1);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_of_a_higher_priority_displaces_the_newest_of_the_lowest() {
    let (service, upstream, handle) = stack(builder(1, 3));
    let _running = waiting(&service, "running", "low");
    let old = waiting(&service, "old", "low");
    let new = waiting(&service, "new", "low");
    let normal = waiting(&service, "normal", "normal");
    let high = waiting(&service, "high", "high");
    assert!(is_shed(&answered(new)));
    assert!(!old.is_woken() && !normal.is_woken() && !high.is_woken());
    assert!(is_shed(&at_once(&service, "late", "low")));
    assert_eq!(
        (handle.counts().shed_displaced, handle.counts().shed_full),
        (1, 1)
    );

    assert_eq!(
        (handle.in_flight(), handle.waiting(), upstream.asked()),
        (1, 3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_goes_first() {
    let (service, upstream, _) = stack(builder(1, 9));
    let mut running = waiting(&service, "running", "normal");
    let mut calls: Vec<_> = [
        ("a", "low"),
        ("b", "normal"),
        ("c", "high"),
        ("d", "normal"),
    ]
    .map(|(name, priority)| Some(waiting(&service, name, priority)))
    .into();
    let mut order = Vec::new();
    loop {
        let (name, answer) = upstream.next();
        order.push(name);
        answer
            .send(Response::new(ResponseBody::from("{}")))
            .unwrap();
        drop(answered(running));
        let Some(next) = calls
            .iter_mut()
            .find(|call| call.as_ref().is_some_and(Spawn::is_woken))
        else {
            break;
        };
        running = next.take().unwrap();
        assert!(running.poll().is_pending());
    }
    assert_eq!(order, ["running", "c", "b", "d", "a"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_the_queues_deadline_or_the_requests_own() {
    let (service, upstream, handle) = stack(builder(1, 9).max_wait(Duration::from_secs(20)));
    let _running = waiting(&service, "running", "normal");
    let mut patient = waiting(&service, "patient", "normal");
    let mut urgent = request("urgent", "normal");
    urgent
        .extensions_mut()
        .insert(Deadline::after(Duration::from_secs(5)));
    let mut urgent = ask(&service, urgent).err().unwrap();

    time::advance(Duration::from_millis(4_900)).await;
    assert!(urgent.poll().is_pending() && patient.poll().is_pending());
    time::advance(Duration::from_millis(200)).await;
    assert!(is_shed(&answered(urgent)));
    assert!(patient.poll().is_pending());
    time::advance(Duration::from_secs(15)).await;
    assert!(is_shed(&answered(patient)));
    assert_eq!(
        (
            handle.waiting(),
            handle.counts().shed_late,
            upstream.asked()
        ),
        (0, 2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_leave_the_line_are_passed_over() {
    let (service, upstream, handle) = stack(builder(1, 9));
    let mut running = waiting(&service, "running", "normal");
    let left = waiting(&service, "left", "normal");
    let called = waiting(&service, "called", "normal");
    let next = waiting(&service, "next", "normal");
    drop(left);
    upstream
        .next()
        .1
        .send(Response::new(ResponseBody::from("{}")))
        .unwrap();
    assert!(running.is_woken());
    let Poll::Ready(Ok(answer)) = running.poll() else {
        panic!("no answer")
    };
    drop(answer);
    // It has the permit, and leaves before it has taken it.
    assert!(called.is_woken());
    drop(called);
    assert!(next.is_woken());
    assert_eq!((handle.in_flight(), handle.waiting()), (1, 0));
    drop(next);
    assert_eq!(handle.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn with_a_queue_of_none_what_finds_no_room_is_shed_at_once() {
    let (service, _upstream, _) = stack(builder(1, 0).max_wait(Duration::ZERO));
    let _running = waiting(&service, "running", "normal");
    assert!(is_shed(&at_once(&service, "high", "high")));
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_exempt_pass_uncounted_and_those_of_nobody_are_refused() {
    for (missing, passes) in [(Missing::Exempt, true), (Missing::Refuse, false)] {
        let by = KeyBy::api_key().when_missing(missing);
        let layer = builder(1, 0).by(by).build().unwrap();
        let service = layer.layer(answering(|_| Response::new(ResponseBody::from("{}"))));
        let response = service.oneshot(request("nobody", "normal")).await.unwrap();
        assert_eq!(response.status().as_u16(), if passes { 200 } else { 401 });
        assert_eq!(layer.handle().counts().admitted, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_follows_the_time_to_the_first_output() {
    let slow = Arc::new(Mutex::new(Duration::from_millis(100)));
    let script = Arc::clone(&slow);
    let builder = builder(20, 100).adaptive(Adaptive::default().bounds(2, 200));
    let layer = builder.build().unwrap();
    let service = layer.layer(tower::service_fn(move |_| {
        let takes = *script.lock().unwrap();
        async move {
            time::sleep(takes).await;
            Ok::<_, Infallible>(Response::new(ResponseBody::from("{}")))
        }
    }));
    let load = async |rounds: usize| {
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let service = service.clone();
            callers.spawn(async move {
                for _ in 0..rounds {
                    let response = service
                        .clone()
                        .oneshot(request("a", "normal"))
                        .await
                        .unwrap();
                    let _ = response.into_body().collect().await;
                }
            });
        }
        callers.join_all().await;
        layer.handle().state(&Key::GLOBAL).limit
    };
    let grown = load(100).await;
    assert!(grown > 20, "{grown}");
    *slow.lock().unwrap() = Duration::from_secs(1);
    let fallen = load(20).await;
    assert!(fallen < grown, "{grown} to {fallen}");
}

/// A step of a caller's, or of the upstream's, or of nobody's.
#[derive(Debug, Clone)]
enum Step {
    Come(u8),
    /// Polls one that was woken, whichever.
    Poll(usize),
    Leave(usize),
    Answer,
    DropBody(usize),
    Wait(u64),
    Limit(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8).prop_map(Step::Come),
        4 => (0..32_usize).prop_map(Step::Poll),
        2 => (0..32_usize).prop_map(Step::Leave),
        3 => Just(Step::Answer),
        3 => (0..32_usize).prop_map(Step::DropBody),
        1 => (0..6_u64).prop_map(Step::Wait),
        1 => (1..4_usize).prop_map(Step::Limit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn wherever_a_request_is_dropped_no_permit_is_lost_and_no_room_is_left_unused(steps in vec(step(), 0..60)) {
        let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (service, upstream, handle) = stack(builder(2, 4).max_wait(Duration::from_secs(9)));
            let mut limit = 2;
            let mut calls: Vec<Call> = Vec::new();
            let mut bodies = Vec::new();
            for step in steps {
                match step {
                    Step::Come(level) => match ask(&service, request("a", &level.to_string())) {
                        Ok(shed) => assert!(is_shed(&shed)),
                        Err(call) => calls.push(call),
                    },
                    Step::Poll(at) if !calls.is_empty() => {
                        let at = at % calls.len();
                        if let Poll::Ready(Ok(answer)) = calls[at].poll() {
                            drop(calls.swap_remove(at));
                            if !is_shed(&answer) {
                                bodies.push(answer);
                            }
                        }
                    }
                    Step::Leave(at) if !calls.is_empty() => drop(calls.swap_remove(at % calls.len())),
                    Step::Answer if upstream.asked() > 0 => {
                        // Whoever has left takes no answer.
                        let _ = upstream.next().1.send(Response::new(ResponseBody::from("{}")));
                    }
                    Step::DropBody(at) if !bodies.is_empty() => drop(bodies.swap_remove(at % bodies.len())),
                    Step::Wait(seconds) => time::advance(Duration::from_secs(seconds)).await,
                    Step::Limit(to) => {
                        limit = to;
                        handle.set_limits(Limits::new(to, 4));
                    }
                    _ => {}
                }
                let state = handle.state(&Key::GLOBAL);
                assert_eq!((state.in_flight, state.waiting), (handle.in_flight(), handle.waiting()));
                assert!(state.waiting <= 4);
                assert!(state.waiting == 0 || state.in_flight >= limit, "room is left while one waits");
            }
            drop((calls, bodies));
            assert_eq!((handle.in_flight(), handle.waiting()), (0, 0));
        });
    }
}

//! When there is a second attempt, and when not.

use http_body_util::BodyExt;

use super::*;
use crate::{
    balance::BalanceLayer,
    message::{AllowedUpstreams, Deadline, Endpoint},
    reserve::{AttemptLimit, RetryBudget},
    stats::{Availability, Stats},
};

fn slow_and_quick() -> (Upstream, Upstream) {
    (
        Upstream::new("a", |_| stream_after(1000)),
        Upstream::new("b", |_| stream_after(10)),
    )
}

async fn send(hedge: &Hedge<Target>, request: Request<RequestBody>) {
    let Ok(response) = hedge.clone().oneshot(request).await;
    let _ = read(response).await;
}

#[tokio::test(start_paused = true)]
async fn what_may_do_more_than_answer_is_never_sent_twice() {
    let (a, b) = slow_and_quick();
    let hedge = after(100).hedge(&targets(&[&a, &b])).unwrap();
    let stream = RequestBody::new(RequestBody::json("{}").boxed());
    let streamed = Request::post("/v1/chat/completions").body(stream).unwrap();
    let other = Request::post("/v1/files")
        .body(RequestBody::json("{}"))
        .unwrap();
    let models = Request::get("/v1/models")
        .body(RequestBody::empty())
        .unwrap();
    let stored = with_body(r#"{"model":"fast","stream":true,"store":true}"#);
    for request in [streamed, other, models, stored] {
        send(&hedge, request).await;
    }
    assert_eq!((a.calls(), b.calls()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn second_attempts_stay_within_the_budget_and_each_costs_an_attempt() {
    let (a, b) = slow_and_quick();
    let budget = RetryBudget::new(10, 2);
    let builder = after(100).budget(budget.clone());
    let hedge = builder.hedge(&targets(&[&a, &b])).unwrap();
    for _ in 0..100 {
        send(&hedge, chat()).await;
    }
    assert_eq!((a.calls(), b.calls()), (100, 12));
    let counts = hedge.handle().counts();
    assert_eq!((counts.hedged, counts.unpaid), (12, 88));

    let hedge = after(100).hedge(&targets(&[&a, &b])).unwrap();
    for (attempts, second) in [(1, 0), (2, 1)] {
        let limit = AttemptLimit::new(attempts);
        let mut request = chat();
        request.extensions_mut().insert(limit.clone());
        let before = b.calls();
        send(&hedge, request).await;
        assert_eq!((b.calls() - before, limit.left()), (second, 0));
    }
    // The attempt that was not there cost the budget nothing: one of ten is gone.
    assert_eq!(hedge.handle().counts().unpaid, 1);
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_cannot_be_hedged_is_handed_on_as_it_stands() {
    let (a, b) = slow_and_quick();
    let hedge = after(100)
        .budget(RetryBudget::new(0, 0))
        .hedge(&targets(&[&a, &b]))
        .unwrap();
    // Its head is there: whoever reads it sees comments and opening events meanwhile.
    assert_eq!(ask(&hedge).await, told("a", 100, ""));
    assert_eq!(a.ends(), [End::Complete]);
}

#[tokio::test(start_paused = true)]
async fn so_many_race_at_a_time_and_no_more() {
    let (a, b) = slow_and_quick();
    let b = Upstream::new("b", {
        let _ = b;
        |_| stream_after(500)
    });
    let hedge = after(100).max_hedges(3).hedge(&targets(&[&a, &b])).unwrap();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let hedge = hedge.clone();
            tokio::spawn(async move { send(&hedge, chat()).await })
        })
        .collect();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(hedge.handle().counts().under_way, 3);
    for call in calls {
        call.await.unwrap();
    }
    let counts = hedge.handle().counts();
    assert_eq!((counts.hedged, counts.busy, counts.under_way), (3, 7, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_goes_to_the_first_other_that_can_take_it() {
    let (a, b) = slow_and_quick();
    let c = Upstream::new("c", |_| stream_after(10));
    let stats = Stats::default();
    let upstreams = Upstreams::builder()
        .add(a.target())
        .add(b.target().endpoints([Endpoint::ChatCompletions]))
        .add(c.target())
        .build()
        .unwrap();
    let hedge = after(100).stats(&stats).hedge(&upstreams).unwrap();
    assert_eq!(ask(&hedge).await.0, "b");
    stats
        .availability("b")
        .publish(Availability::Unavailable { until: None });
    assert_eq!(ask(&hedge).await.0, "c");
    stats.availability("b").publish(Availability::Available);
    let mut bound = chat();
    bound.extensions_mut().insert(AllowedUpstreams::new(["a"]));
    send(&hedge, bound).await;
    assert_eq!(hedge.handle().counts().nowhere, 1);
}

#[tokio::test(start_paused = true)]
async fn over_a_balancer_the_second_attempt_goes_to_another_member() {
    let slow = |name| {
        Upstream::new(name, |call| {
            stream_after(if call % 2 == 0 { 1000 } else { 10 })
        })
    };
    let (a, b) = (slow("a"), slow("b"));
    let balance = BalanceLayer::builder()
        .balance(&targets(&[&a, &b]))
        .unwrap();
    let pool = Upstreams::builder()
        .add(Target::new("pool", balance))
        .build()
        .unwrap();
    let hedge = after(100).hedge(&pool).unwrap();
    let Ok(response) = hedge.oneshot(chat()).await;
    let _ = read(response).await;
    assert_eq!((a.calls(), b.calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_after_the_deadline_or_while_it_is_off() {
    let (a, b) = slow_and_quick();
    let hedge = after(100).hedge(&targets(&[&a, &b])).unwrap();
    let mut late = chat();
    late.extensions_mut()
        .insert(Deadline::after(Duration::from_millis(50)));
    send(&hedge, late).await;
    hedge.handle().set_enabled(false);
    assert!(!hedge.handle().is_enabled());
    send(&hedge, chat()).await;
    assert_eq!(b.calls(), 0);
    hedge.handle().set_enabled(true);
    send(&hedge, chat()).await;
    assert_eq!(b.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_percentile_is_that_of_the_model_and_of_streams_or_whole_answers() {
    let a = Upstream::new("a", |call| stream_after(100 + call % 20 * 10));
    let b = Upstream::new("b", |_| stream_after(10));
    let builder = HedgeLayer::builder()
        .ceiling(Duration::from_secs(9))
        .min_samples(40);
    let hedge = builder.percentile(90.0).hedge(&targets(&[&a, &b])).unwrap();
    let handle = hedge.handle();
    assert_eq!(handle.delay("fast"), Duration::from_secs(9));
    for _ in 0..40 {
        send(&hedge, chat()).await;
    }
    // What is known is a second old at most.
    sleep(Duration::from_secs(1)).await;
    let delay = handle.delay("fast").as_millis();
    assert!((260..=280).contains(&delay), "{delay}");
    assert_eq!(handle.delay("other"), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_the_place_of_another_goes_on_where_it_is() {
    let (a, b) = slow_and_quick();
    let new = || after(100).budget_of(0, 1).hedge(&targets(&[&a, &b]));
    let before = new().unwrap();
    send(&before, chat()).await;
    assert_eq!(before.handle().counts().hedged, 1);
    before.handle().set_enabled(false);
    let handle = before.handle();
    let builder = || after(100).continuing(Some(&handle));
    let same = builder()
        .budget_of(0, 1)
        .hedge(&targets(&[&a, &b]))
        .unwrap();
    assert!(!same.handle().is_enabled());
    same.handle().set_enabled(true);
    send(&same, chat()).await;
    let more = builder()
        .budget_of(0, 2)
        .hedge(&targets(&[&a, &b]))
        .unwrap();
    send(&more, chat()).await;
    let counts = before.handle().counts();
    assert_eq!((counts.hedged, counts.unpaid), (2, 1));
}

//! Who wins, and what becomes of the other.

use http_body_util::BodyExt;
use tokio_test::{assert_pending, task};

use super::*;

fn both(first: Steps, second: Steps) -> (Upstream, Upstream) {
    (
        Upstream::new("a", move |_| first.clone()),
        Upstream::new("b", move |_| second.clone()),
    )
}

fn hedge(builder: HedgeBuilder, (a, b): &(Upstream, Upstream)) -> Hedge<Target> {
    builder.hedge(&targets(&[a, b])).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_first_that_is_in_time_is_alone() {
    let upstreams = both(stream_after(90), stream_after(1));
    let hedge = hedge(after(100), &upstreams);
    assert_eq!(ask(&hedge).await, told("a", 90, ""));
    assert_eq!(upstreams.1.calls(), 0);
    assert_eq!(upstreams.0.ends(), [End::Complete]);
}

#[tokio::test(start_paused = true)]
async fn a_head_is_no_output_and_the_second_wins_when_it_says_something() {
    let upstreams = both(stream_after(5000), stream_after(30));
    let hedge = hedge(after(100), &upstreams);
    assert_eq!(ask(&hedge).await, told("b", 130, "2 a cancelled"));
    assert_eq!(upstreams.0.ends(), [End::Cancelled]);
    assert_eq!(upstreams.1.ends(), [End::Complete]);
    let counts = hedge.handle().counts();
    assert_eq!((counts.hedged, counts.won, counts.under_way), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_first_that_speaks_up_during_the_race_wins_it() {
    let upstreams = both(stream_after(120), stream_after(30));
    let hedge = hedge(after(100), &upstreams);
    assert_eq!(ask(&hedge).await, told("a", 120, "2 b cancelled"));
    assert_eq!(upstreams.1.ends(), [End::Cancelled]);
    assert_eq!(hedge.handle().counts().won, 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_no_head_yet_is_let_go_of_too() {
    let hangs = vec![(1_000_000, Step::Head(200))];
    let upstreams = both(hangs, stream_after(30));
    let hedge = hedge(after(100), &upstreams);
    assert_eq!(ask(&hedge).await, told("b", 130, "2 a cancelled"));
    assert_eq!(upstreams.0.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_there_is_a_race_is_the_answer() {
    let upstreams = both(fails_after(50, 500), stream_after(1));
    let hedge = hedge(after(100), &upstreams);
    assert_eq!(ask(&hedge).await, told("a 500", 50, ""));
    assert_eq!(upstreams.1.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_fails_during_the_race_is_waited_out() {
    let early_end = vec![(0, Step::Head(200)), (150, Step::Breaks)];
    let stated = vec![
        (0, Step::Head(200)),
        (
            150,
            Step::Says("data: {\"error\":{\"message\":\"no\",\"code\":500}}\n\n"),
        ),
    ];
    for (first, second, expected) in [
        (
            fails_after(150, 500),
            stream_after(300),
            told("b", 400, "2 a server_error"),
        ),
        (
            early_end.clone(),
            stream_after(300),
            told("b", 400, "2 a transport"),
        ),
        (
            stated,
            stream_after(300),
            told("b", 400, "2 a server_error"),
        ),
        (
            stream_after(500),
            fails_after(10, 429),
            told("a", 500, "2 b rate_limited"),
        ),
        (
            fails_after(150, 503),
            fails_after(200, 500),
            told("a 503", 300, "2 b server_error"),
        ),
        (
            fails_after(350, 503),
            fails_after(10, 500),
            told("a 503", 350, "2 b server_error"),
        ),
    ] {
        let upstreams = both(first, second);
        let hedge = hedge(after(100), &upstreams);
        assert_eq!(ask(&hedge).await, expected);
        let counts = hedge.handle().counts();
        assert_eq!(counts.under_way, 0);
        let won = u64::from(expected.0 == "b");
        assert_eq!((counts.won, counts.saved), (won, won));
        for upstream in [&upstreams.0, &upstreams.1] {
            assert_eq!(
                (upstream.calls(), upstream.alive(), upstream.ends().len()),
                (1, 0, 1)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_error_of_the_primary_passes_unless_the_other_answers() {
    let fails = || {
        service_fn(|_: Request<RequestBody>| async {
            sleep(Duration::from_millis(150)).await;
            Err::<Response<ResponseBody>, _>("foreign")
        })
    };
    for (second, answered) in [(stream_after(300), true), (fails_after(300, 500), false)] {
        let second = Upstream::new("b", move |_| second.clone());
        let layer = after(100).build(&targets(&[&second])).unwrap();
        let answer = tower::Layer::layer(&layer, fails()).oneshot(chat()).await;
        assert_eq!(answer.is_ok(), answered);
        if let Err(error) = answer {
            assert_eq!(error, "foreign");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_takes_both_along_at_any_moment() {
    let upstreams = both(stream_after(500), stream_after(600));
    let hedge = hedge(after(100), &upstreams);
    for millis in [0, 50, 100, 101, 300, 499, 500] {
        let call = hedge.clone().oneshot(chat());
        let left = tokio::time::timeout(Duration::from_millis(millis), call).await;
        drop(left);
        assert_eq!(
            (upstreams.0.alive(), upstreams.1.alive()),
            (0, 0),
            "{millis}"
        );
        assert_eq!(hedge.handle().counts().under_way, 0);
    }
    let mut call = task::spawn(hedge.clone().oneshot(chat()));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(upstreams.0.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_has_output_when_it_is_whole() {
    let json = |millis| {
        move |_| {
            vec![
                (0, Step::Head(201)),
                (0, Step::Says("{\"a\":")),
                (millis, Step::Says("1}")),
            ]
        }
    };
    let (slow, quick) = (Upstream::new("a", json(5000)), Upstream::new("b", json(30)));
    let hedge = after(100).hedge(&targets(&[&slow, &quick])).unwrap();
    let Ok(response) = hedge.oneshot(with_body(r#"{"model":"fast"}"#)).await;
    assert_eq!(response.headers()["x-relay-upstream"], "b");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "{\"a\":1}");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_read_ahead_is_lost() {
    let upstreams = both(stream_after(5000), stream_after(30));
    let hedge = hedge(after(100), &upstreams);
    let Ok(response) = hedge.oneshot(chat()).await;
    let (_, text) = read(response).await;
    assert_eq!(text, [OPENING, TOKEN, DONE].concat());
}

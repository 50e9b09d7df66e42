use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};

use super::harness::*;
use crate::{
    commit_guard::{CommitGuardBuilder, Limits},
    message::{End, Failure, Outcome, Phase, Reason, Rejection},
};

fn limited(limits: Limits) -> CommitGuardBuilder {
    builder().limits(limits)
}

/// The seconds after which a 504 says that `phase` took too long.
async fn timed_out(exchange: &Exchange, settings: CommitGuardBuilder, phase: Phase) -> u64 {
    let start = Instant::now();
    let response = exchange.ask(settings).await;
    assert_eq!(response.status(), 504);
    assert_eq!(Outcome::of(&response), Some(Outcome::Timeout { phase }));
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.layer, rejection.reason),
        ("commit_guard", Reason::Timeout(phase))
    );
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn the_first_token_has_a_deadline_that_counts_from_the_call() {
    let settings = || limited(Limits::default().first_token(8 * SECOND));
    let events = std::iter::repeat_n([Wait(1), say(OPENING)], 40).flatten();
    let mut stream = exchange(EVENTS, events);
    assert_eq!(timed_out(&stream, settings(), Phase::FirstToken).await, 8);
    assert_eq!(stream.end(), End::Failed(Failure::Deadline));
    stream.head_after = 5 * SECOND;
    stream.ends = Ends::default();
    assert_eq!(timed_out(&stream, settings(), Phase::FirstToken).await, 8);
    stream.head_after = 20 * SECOND;
    assert_eq!(timed_out(&stream, settings(), Phase::FirstToken).await, 8);
    // Who asks for no stream waits for all of it.
    stream.request = r#"{"model":"any"}"#;
    stream.ends = Ends::default();
    assert_eq!(timed_out(&stream, settings(), Phase::FirstToken).await, 20);

    let json = exchange(JSON, [Wait(20), say("{}")]);
    assert_eq!(json.ask(settings()).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn silence_before_the_commit_is_a_504_by_the_closest_model() {
    for (model, seconds) in [
        (r#"{"model":"deepseek-v3-2"}"#, 30),
        (r#"{"model":"gemini-2.5-flash"}"#, 30),
        (r#"{"model":"claude-sonnet-4.5"}"#, 120),
        (r#"{"model":"gpt-4.1"}"#, 90),
        (r#"{"model":"gpt-4.1-mini"}"#, 60),
    ] {
        for media in [EVENTS, JSON, "audio/mpeg"] {
            let mut exchange = exchange(media, [Hang]);
            exchange.request = model;
            let settings = CommitGuardBuilder::guide_e().max_time(1000 * SECOND);
            let took = timed_out(&exchange, settings, Phase::Body).await;
            assert_eq!(took, seconds, "{model} {media}");
            assert_eq!(exchange.end(), End::Failed(Failure::Deadline));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_breaks_the_silence_and_comments_do_by_choice() {
    let pings = || std::iter::repeat_n([Wait(20), say(": ping\n\n")], 5).flatten();
    let script = || {
        [say(HELLO)]
            .into_iter()
            .chain(pings())
            .chain([say(STOP), say(DONE)])
    };
    let whole = format!("{HELLO}{}{STOP}{DONE}", ": ping\n\n".repeat(5));
    read(exchange(EVENTS, script()).ask(builder()).await)
        .await
        .passed(&whole);

    let strict = exchange(EVENTS, script())
        .ask(builder().comments_count(false))
        .await;
    let got = read(strict).await;
    got.broke_after(&format!("{HELLO}: ping\n\n"), Failure::Deadline);
    assert_eq!(got.took, 30);

    let held = exchange(EVENTS, pings().chain([say(HELLO)]));
    let strict = builder().comments_count(false).max_time(1000 * SECOND);
    assert_eq!(timed_out(&held, strict, Phase::Body).await, 30);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_complete_no_event_do_not_break_the_silence() {
    let drip = std::iter::repeat_n([Wait(1), say("x")], 100).flatten();
    let script = [say(HELLO), say("data: ")].into_iter().chain(drip);
    let got = read(exchange(EVENTS, script).ask(builder()).await).await;
    got.broke_after(HELLO, Failure::Deadline);
    assert_eq!(got.took, 30);
}

/// Its status tells how it failed: there is nothing to hold it for, and yet its caller is not to wait for ever.
#[tokio::test(start_paused = true)]
async fn an_error_whose_body_falls_silent_is_broken_off() {
    for media in [JSON, EVENTS, "text/html"] {
        let mut exchange = exchange(media, [say("{"), Wait(20), say("x"), Hang]);
        exchange.status = 503;
        let response = exchange.ask(builder()).await;
        assert_eq!(response.status(), 503);
        let read = tokio::time::timeout(1000 * SECOND, read(response));
        let got = read.await.expect("it ends");
        assert_eq!(got.broke_after("{x", Failure::Deadline), "");
        assert_eq!(got.took, 50);
        assert_eq!(exchange.end(), End::Failed(Failure::Deadline));
    }
}

#[tokio::test(start_paused = true)]
async fn each_piece_of_a_json_answer_breaks_the_silence() {
    let pieces = std::iter::repeat_n([Wait(20), say(" ")], 10).flatten();
    let script = [say("{")].into_iter().chain(pieces).chain([say("}")]);
    let response = exchange(JSON, script).ask(builder()).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_does_not_read_is_no_silence_of_the_upstream() {
    let script = [
        say(HELLO),
        Wait(1),
        say(HELLO),
        Wait(29),
        say(STOP),
        say(DONE),
    ];
    let exchange = exchange(EVENTS, script);
    let mut body = exchange.ask(builder()).await.into_body();
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().is_ok());
        sleep(100 * SECOND).await;
    }
    assert!(body.collect().await.is_ok());
    assert_eq!(exchange.end(), End::Complete);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_silence_is_waited_out() {
    let script = [
        say(OPENING),
        Wait(5000),
        say(HELLO),
        Wait(5000),
        say(STOP),
        say(DONE),
    ];
    let settings = limited(Limits::none()).max_time(Duration::MAX);
    let response = exchange(EVENTS, script).ask(settings).await;
    read(response)
        .await
        .passed(&format!("{OPENING}{HELLO}{STOP}{DONE}"));
}

#[tokio::test(start_paused = true)]
async fn a_drip_of_tokens_below_the_floor_is_broken_off() {
    let drip = |gap| {
        let events = std::iter::repeat_n([Wait(gap), say(HELLO)], 60).flatten();
        exchange(EVENTS, events.chain([say(STOP), say(DONE)]))
    };
    let settings = || limited(Limits::default().min_tokens_per_second(1)).pace_grace(5 * SECOND);
    let got = read(drip(2).ask(settings()).await).await;
    let told = HELLO.repeat(9);
    let event = got.broke_after(&told, Failure::Deadline);
    assert!(event.contains("too slowly"), "{event}");
    assert_eq!(got.took, 16);

    let fast = read(drip(1).ask(settings()).await).await;
    assert_eq!(fast.end, End::Complete);
}

use std::{convert::Infallible, task::Poll, time::Duration};

use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_layer::Layer;

use super::harness::*;
use crate::{
    commit_guard::{Commit, Limits},
    message::{End, Failure, Media, Outcome, Phase, ResponseBody},
    testing,
};

/// A refusal's status and body, with the outcome that others act on.
async fn refused(exchange: &Exchange) -> (u16, String, Outcome) {
    let response = exchange.ask(builder()).await;
    let outcome = Outcome::of(&response).expect("an outcome");
    assert_eq!(response.extensions().get(), Some(&Mark), "extensions stay");
    assert_eq!(response.headers()["x-request-id"], "req-1", "headers stay");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(!response.headers().contains_key("content-length"));
    let (head, text) = testing::read(response).await;
    (head.status.as_u16(), text, outcome)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_held_until_its_first_output_and_not_any_longer() {
    let script = [
        say(OPENING),
        Wait(3),
        say(HELLO),
        Wait(3),
        say(STOP),
        say(DONE),
    ];
    let exchange = exchange(EVENTS, script);
    let start = Instant::now();
    let response = exchange.ask(builder()).await;
    assert_eq!(start.elapsed(), 3 * SECOND);
    assert!(response.extensions().get::<Commit>().is_none());
    let mut body = response.into_body();
    for text in [OPENING, HELLO, STOP, DONE] {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data.as_ptr(), text.as_ptr(), "the bytes were copied");
        assert_eq!(data, text);
    }
    assert!(body.frame().await.is_none());
    assert_eq!(exchange.end(), End::Complete);
}

#[tokio::test(start_paused = true)]
async fn an_error_before_any_output_is_an_answer_of_the_status_that_it_means() {
    const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    const FAILED: &str = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}}}\n\n";
    for (path, event, status, shape, outcome) in [
        (
            "/v1/chat/completions",
            "data: {\"error\":{\"message\":\"try later\",\"code\":502}}\n\n",
            502,
            "{\"error\":{",
            Outcome::ServerError,
        ),
        (
            "/v1/messages",
            OVERLOADED,
            503,
            "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"",
            Outcome::Overloaded { retry_after: None },
        ),
        (
            "/v1/responses",
            FAILED,
            429,
            "{\"error\":{\"message\":\"slow down\"",
            Outcome::RateLimited { retry_after: None },
        ),
    ] {
        let exchange = exchange(EVENTS, [say(": ping\n\n"), say(event), say(DONE)]).at(path);
        let (got, text, meant) = refused(&exchange).await;
        assert_eq!((got, meant), (status, outcome), "{text}");
        assert!(text.starts_with(shape), "{text}");
        assert_eq!(exchange.end(), End::Failed(Failure::Stated));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_any_output_is_a_502_that_may_be_tried_again() {
    let body = Phase::Body;
    for (script, failure) in [
        (vec![], Failure::Truncated),
        (vec![say(": ping\n\n")], Failure::Truncated),
        (vec![say(OPENING)], Failure::Truncated),
        (vec![say(OPENING), say("data: {\"choi")], Failure::Truncated),
        (vec![Break], Failure::Body),
        (vec![say(OPENING), Wait(1), Break], Failure::Body),
    ] {
        let exchange = exchange(EVENTS, script.clone());
        let (status, text, outcome) = refused(&exchange).await;
        assert_eq!(
            (status, outcome),
            (502, Outcome::Transport { phase: body }),
            "{script:?}"
        );
        assert!(text.contains("upstream_"), "{text}");
        assert_eq!(exchange.end(), End::Failed(failure), "{script:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_over_before_it_said_anything_is_no_answer() {
    let (status, text, _) = refused(&exchange(EVENTS, [say(DONE)])).await;
    assert_eq!(status, 502);
    assert!(text.contains("before it said anything"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_output_that_says_why_it_stopped_is_one() {
    const FAILED: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"insufficient_system_resource\"}]}\n\ndata: [DONE]\n\n";
    for (reason, outcome) in [
        ("stop", None),
        ("content_filter", Some(Outcome::ContentFiltered)),
    ] {
        let text = format!(
            "data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n{DONE}"
        );
        let exchange = exchange(EVENTS, [Say::Data(text.clone().into())]);
        let response = exchange.ask(builder()).await;
        assert_eq!(Outcome::of(&response), outcome);
        read(response).await.passed(&text);
    }
    let (status, _, outcome) = refused(&exchange(EVENTS, [say(FAILED)])).await;
    assert_eq!(
        (status, outcome),
        (503, Outcome::Overloaded { retry_after: None })
    );
}

#[tokio::test(start_paused = true)]
async fn what_reaches_a_bound_is_handed_on_and_says_so() {
    let many = || std::iter::repeat_n([Wait(1), say(OPENING)], 20).flatten();
    for (settings, commit, seconds) in [
        (builder().max_events(5), Commit::Events, 5),
        (builder().max_bytes(1000), Commit::Bytes, 8),
        (builder().max_time(9 * SECOND), Commit::Time, 9),
    ] {
        let exchange = exchange(EVENTS, many());
        let start = Instant::now();
        let response = exchange.ask(settings).await;
        assert_eq!(response.extensions().get(), Some(&commit));
        assert_eq!(start.elapsed().as_secs(), seconds, "{commit:?}");
        let got = read(response).await;
        let event = got.broke_after(&OPENING.repeat(20), Failure::Truncated);
        assert!(event.starts_with("data: {\"error\":{"), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn comments_fill_no_bound_on_events() {
    let pings = std::iter::repeat_n(say(": ping\n\n"), 100);
    let exchange = exchange(EVENTS, pings.chain([say(HELLO), say(STOP)]));
    let response = exchange.ask(builder().max_events(2)).await;
    assert!(response.extensions().get::<Commit>().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_json_answer_is_held_until_it_is_whole() {
    const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let (one, two) = ANSWER.split_at(20);
    let exchange = exchange(JSON, [say(one), Wait(5), say(two)]).header("etag", "\"1\"");
    let start = Instant::now();
    let response = exchange.ask(builder()).await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!(response.headers()["etag"], "\"1\"");
    read(response).await.passed(ANSWER);
    assert_eq!(exchange.end(), End::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_json_answer_that_is_none_is_an_error() {
    let body = Phase::Body;
    for (script, status, outcome) in [
        (
            vec![say(
                "  {\"error\":{\"message\":\"no\",\"code\":\"model_not_found\"}}",
            )],
            404,
            Outcome::ModelNotFound,
        ),
        (
            vec![say("{\"choices\":"), Wait(1), Break],
            502,
            Outcome::Transport { phase: body },
        ),
        (vec![say(" \n ")], 502, Outcome::Transport { phase: body }),
        (vec![say("{\"choices\":")], 502, Outcome::ServerError),
        (vec![say("<html></html>")], 502, Outcome::ServerError),
        (
            vec![say("{\"choices\":[{\"finish_reason\":\"error\"}]}")],
            502,
            Outcome::ServerError,
        ),
    ] {
        let (got, text, meant) = refused(&exchange(JSON, script.clone())).await;
        assert_eq!((got, meant), (status, outcome), "{script:?}");
        assert!(text.starts_with("{\"error\":{"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_json_answer_beyond_the_cap_is_handed_on_and_keeps_its_length() {
    let part = "x".repeat(2000);
    let script = [Say::Data(part.clone().into()), Wait(1), say("y"), Wait(40)];
    let exchange = exchange(JSON, script).header("content-length", "2001");
    let start = Instant::now();
    let response = exchange.ask(builder().max_bytes(1000)).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(response.headers()["content-length"], "2001");
    assert_eq!(response.extensions().get(), Some(&Commit::Bytes));
    let got = read(response).await;
    // There is no event to say it in.
    assert_eq!(got.broke_after(&(part + "y"), Failure::Deadline), "");
}

#[tokio::test(start_paused = true)]
async fn a_json_answer_that_says_that_it_is_beyond_the_cap_is_not_begun() {
    let long = "z".repeat(2000);
    let upstream = testing::answering(move |_| {
        Response::new(ResponseBody::from(long.clone()).with_media(Media::Json))
    });
    let guard = builder().max_bytes(1000).build().unwrap().layer(upstream);
    let Ok(response) = guard.oneshot(exchange(JSON, []).request()).await;
    assert_eq!(response.extensions().get(), Some(&Commit::Bytes));
    assert_eq!(response.body().size_hint().exact(), Some(2000));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_success_or_no_answer_of_a_model_passes_at_once() {
    for (status, path) in [
        (204, "/v1/chat/completions"),
        (500, "/v1/chat/completions"),
        (301, "/v1/chat/completions"),
        (200, "/v1/files"),
        (200, "/api/chat"),
    ] {
        let mut exchange = exchange(EVENTS, [Wait(20), say("data: x"), Break]).at(path);
        exchange.status = status;
        let start = Instant::now();
        let limits = Limits::default().first_token(SECOND);
        let response = exchange.ask(builder().limits(limits)).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "{status} {path}");
        assert_eq!(response.status(), status);
        let got = read(response).await;
        assert_eq!(got.text, "data: x");
        assert!(got.broken);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_handed_on_with_its_first_byte() {
    let script = [Wait(2), say("\u{1f}packed"), Wait(2), say("more")];
    let packed = exchange(EVENTS, script).header("content-encoding", "gzip");
    let start = Instant::now();
    let response = packed.ask(builder()).await;
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(response.headers()["content-encoding"], "gzip");
    read(response).await.passed("\u{1f}packedmore");

    let broken = exchange(EVENTS, [Wait(2), Break]).header("content-encoding", "gzip");
    let response = broken.ask(builder()).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(!response.headers().contains_key("content-encoding"));
}

#[tokio::test(start_paused = true)]
async fn lines_of_json_are_a_stream_too() {
    const PART: &str = "{\"message\":{\"content\":\"hi\"},\"done\":false}\n";
    const LAST: &str = "{\"message\":{\"content\":\"\"},\"done\":true}\n";
    let whole = exchange(LINES, [say(PART), Wait(1), say(LAST)])
        .ask(builder())
        .await;
    read(whole).await.passed(&format!("{PART}{LAST}"));

    let cut = exchange(LINES, [say(PART), Wait(1), say("{\"mess")])
        .ask(builder())
        .await;
    let got = read(cut).await;
    let line = got.broke_after(PART, Failure::Truncated);
    assert!(
        line.starts_with("{\"error\":{") && line.ends_with("}\n"),
        "{line}"
    );

    let (status, ..) = refused(&exchange(LINES, [say("{\"error\":\"overloaded\"}\n")])).await;
    assert_eq!(status, 502);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_lets_go_of_what_is_held() {
    let exchange = exchange(EVENTS, [say(OPENING), Hang]);
    let asked = tokio::time::timeout(SECOND, exchange.ask(builder())).await;
    assert!(asked.is_err());
    assert_eq!(exchange.end(), End::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn what_all_services_of_a_layer_hold_together_is_bounded() {
    let layer = builder().max_held(1000).build().unwrap();
    let ask = || {
        let script = [Say::Data(" ".repeat(600).into()), Hang];
        let upstream = testing::answering(move |_| exchange(JSON, script.clone()).response());
        let request = exchange(JSON, []).request();
        tokio_test::task::spawn(layer.layer(upstream).oneshot(request))
    };
    let commit = |polled: Poll<Result<Response<ResponseBody>, Infallible>>| match polled {
        Poll::Ready(Ok(response)) => response.extensions().get().copied(),
        Poll::Pending => None,
    };
    let mut one = ask();
    assert_eq!(commit(one.poll()), None);
    assert_eq!(commit(ask().poll()), Some(Commit::Held));
    drop(one);
    assert_eq!(commit(ask().poll()), None);
}

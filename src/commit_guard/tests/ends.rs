use http_body_util::BodyExt;

use super::harness::*;
use crate::message::{Deadline, End, Failure, Outcome};

fn event(message: &str, kind: &str, code: &str) -> String {
    format!(
        "data: {{\"error\":{{\"message\":\"{message}\",\"type\":\"{kind}\",\"param\":null,\"code\":\"{code}\"}}}}\n\n"
    )
}

#[tokio::test(start_paused = true)]
async fn what_breaks_after_its_first_output_ends_with_an_error_and_never_cleanly() {
    let truncated = event(
        "the upstream's answer ended before it was whole",
        "upstream_error",
        "upstream_truncated",
    );
    let reset = event(
        "the upstream broke the connection before its answer was whole",
        "upstream_error",
        "upstream_error",
    );
    let silent = event(
        "the upstream fell silent before its answer was whole (phase: response body)",
        "timeout_error",
        "upstream_timeout",
    );
    for (last, failure, event) in [
        (vec![], Failure::Truncated, truncated),
        (vec![Break], Failure::Body, reset),
        (vec![Hang], Failure::Deadline, silent),
    ] {
        // At once with what went before, and later.
        for pause in [vec![], vec![Wait(1)]] {
            let mut script = vec![say(OPENING), say(HELLO), Wait(1), say(HELLO)];
            script.extend(pause);
            script.extend(last.clone());
            let exchange = exchange(EVENTS, script);
            let got = read(exchange.ask(builder()).await).await;
            let delivered = format!("{OPENING}{HELLO}{HELLO}");
            assert_eq!(got.broke_after(&delivered, failure), event);
            assert_eq!(exchange.end(), End::Failed(failure));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_caller_is_told_in_their_own_dialect() {
    const TEXT: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":41,\"delta\":\"hi\"}\n\n";
    const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hi\"}}\n\n";
    let got = read(
        exchange(EVENTS, [say(DELTA), Wait(1)])
            .at("/v1/messages")
            .ask(builder())
            .await,
    )
    .await;
    let event = got.broke_after(DELTA, Failure::Truncated);
    assert!(
        event.starts_with(
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""
        ),
        "{event}"
    );

    let got = read(
        exchange(EVENTS, [say(TEXT), Wait(1), Break])
            .at("/v1/responses")
            .ask(builder())
            .await,
    )
    .await;
    let event = got.broke_after(TEXT, Failure::Body);
    assert!(
        event.starts_with("event: error\ndata: {\"type\":\"error\",\"sequence_number\":42,"),
        "{event}"
    );
}

#[tokio::test(start_paused = true)]
async fn part_of_an_event_is_not_handed_on_as_the_error_would_be_read_as_its_rest() {
    for part in [
        "data: {\"choices\":[{\"del",
        "data: {\"choices\":[]}\n",
        ": pi",
        "d",
    ] {
        for last in [Wait(1), Break, Hang] {
            let exchange = exchange(EVENTS, [say(HELLO), say(part), last]);
            let got = read(exchange.ask(builder()).await).await;
            let End::Failed(failure) = got.end else {
                panic!("{got:?}");
            };
            let event = got.broke_after(HELLO, failure);
            assert!(event.starts_with("data: {\"error\":{"), "{event}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_in_pieces_is_handed_on_once_it_is_whole() {
    let script = [
        say(HELLO),
        say("data: {\"cho"),
        Wait(1),
        say("ices\":[]}\n"),
        Wait(1),
        say("\ndata: [DO"),
        say("NE]\n\n"),
    ];
    let exchange = exchange(EVENTS, script);
    let mut body = exchange.ask(builder()).await.into_body();
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        seen.push(String::from_utf8(data.to_vec()).unwrap());
    }
    assert_eq!(
        seen,
        [
            HELLO,
            "data: {\"choices\":[]}\n",
            "\n",
            "data: [DO",
            "NE]\n\n"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_end_with_its_finish_reason_or_without_a_last_blank_line() {
    for last in [
        STOP,
        "data: [DONE]",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}",
    ] {
        let exchange = exchange(EVENTS, [say(HELLO), Wait(1), say(last)]);
        read(exchange.ask(builder()).await)
            .await
            .passed(&format!("{HELLO}{last}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_the_upstream_states_is_the_last_that_comes() {
    const OWN: &str = "data: {\"error\":{\"message\":\"gone\",\"code\":502}}\n\n";
    const IN_A_CHOICE: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\",\"error\":{\"message\":\"gone\",\"code\":502}}]}\n\n";
    let exchange_of = |error| exchange(EVENTS, [say(HELLO), Wait(1), say(error), say(DONE), Hang]);
    let exchange = exchange_of(OWN);
    let got = read(exchange.ask(builder()).await).await;
    assert_eq!(
        got.broke_after(&format!("{HELLO}{OWN}"), Failure::Stated),
        ""
    );
    assert_eq!(exchange.end(), End::Failed(Failure::Stated));

    // Where the caller's programs would not find it, it is said once more.
    let got = read(exchange_of(IN_A_CHOICE).ask(builder()).await).await;
    let event = got.broke_after(&format!("{HELLO}{IN_A_CHOICE}"), Failure::Stated);
    assert!(
        event.starts_with("data: {\"error\":{\"message\":\"gone\""),
        "{event}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stated_error_without_its_blank_line_is_said_whole() {
    let script = [
        say(HELLO),
        Wait(1),
        say("data: {\"error\":{\"message\":\"gone\"}}"),
    ];
    let got = read(exchange(EVENTS, script).ask(builder()).await).await;
    let event = got.broke_after(HELLO, Failure::Stated);
    assert!(
        event.starts_with("data: {\"error\":{\"message\":\"gone\"") && event.ends_with("\n\n"),
        "{event}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_that_failed_has_its_own_end() {
    const TEXT: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n";
    const FAILED: &str = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"no\"}}}\n\n";
    let exchange = exchange(EVENTS, [say(TEXT), Wait(1), say(FAILED)]).at("/v1/responses");
    let got = read(exchange.ask(builder()).await).await;
    assert_eq!(got.text, format!("{TEXT}{FAILED}"));
    assert!(!got.broken);
    assert_eq!(got.end, End::Failed(Failure::Stated));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_kept_open_after_its_last_event_ends_soon_and_cleanly() {
    let exchange = exchange(EVENTS, [say(HELLO), say(STOP), say(DONE), Hang]);
    let got = read(exchange.ask(builder()).await).await;
    got.passed(&format!("{HELLO}{STOP}{DONE}"));
    assert_eq!(got.took, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_after_the_last_event_takes_nothing_back() {
    let exchange = exchange(EVENTS, [say(HELLO), say(STOP), say(DONE), Break]);
    let got = read(exchange.ask(builder()).await).await;
    got.passed(&format!("{HELLO}{STOP}{DONE}"));
}

#[tokio::test(start_paused = true)]
async fn the_requests_deadline_ends_a_stream_with_an_error_too() {
    let exchange = exchange(EVENTS, [say(HELLO), Hang]);
    let mut response = exchange.ask(builder()).await;
    let deadline = Deadline::after(5 * SECOND);
    response.body_mut().expire(deadline, None);
    let got = read(response).await;
    let event = got.broke_after(HELLO, Failure::Deadline);
    assert!(event.contains("deadline_exceeded"), "{event}");
    assert_eq!(got.took, 5);
}

#[tokio::test(start_paused = true)]
async fn an_event_too_long_to_be_held_passes_and_its_stream_still_ends_with_an_error() {
    let long = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}",
        "x".repeat(2 << 20)
    );
    let exchange = exchange(
        EVENTS,
        [say(HELLO), Say::Data(long.clone().into()), Wait(1), Break],
    );
    let got = read(exchange.ask(builder()).await).await;
    let event = got.broke_after(&format!("{HELLO}{long}"), Failure::Body);
    assert!(event.starts_with("\n\ndata: {\"error\":{"), "{event}");
}

#[tokio::test(start_paused = true)]
async fn what_judges_an_upstream_by_the_end_sees_what_broke() {
    for (last, outcome) in [
        (
            Break,
            Outcome::Transport {
                phase: crate::message::Phase::Body,
            },
        ),
        (
            Hang,
            Outcome::Timeout {
                phase: crate::message::Phase::Body,
            },
        ),
    ] {
        let response = exchange(EVENTS, [say(HELLO), last]).ask(builder()).await;
        let (tell, told) = std::sync::mpsc::channel();
        let body = response.into_body().on_end(move |done| {
            tell.send(Outcome::of_completion(done, Outcome::Success))
                .unwrap();
        });
        assert!(body.collect().await.is_err());
        assert_eq!(told.recv().unwrap(), outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_with_the_last_words_has_got_a_broken_answer() {
    for (last, failure) in [
        (vec![], Failure::Truncated),
        (vec![Break], Failure::Body),
        (vec![Hang], Failure::Deadline),
    ] {
        let script = [say(HELLO), Wait(1)].into_iter().chain(last);
        let exchange = exchange(EVENTS, script);
        let mut body = exchange.ask(builder()).await.into_body();
        for lead in ["data: {\"choices\"", "data: {\"error\""] {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(data.starts_with(lead.as_bytes()));
        }
        // They are sent before the connection breaks.
        assert!(tokio_test::task::spawn(body.frame()).poll().is_pending());
        drop(body);
        assert_eq!(exchange.end(), End::Failed(failure));
    }
}

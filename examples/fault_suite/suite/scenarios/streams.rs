//! Answers that do not go on as they began.

use std::time::Duration;

use super::{
    Plan, Scenario,
    parts::{ARRIVAL, arrived, chunk, chunked, drip, first, half, stream, stream_head},
};
use crate::suite::{
    answer::{self, DONE},
    check::Outcome,
    script::{Call, Data, Often, Payload, Step},
    stacks::Pace,
};

const ERROR: &str = r#"{"error":{"message":"it is on fire","type":"server_error","param":null,"code":"server_error"}}"#;

pub(super) fn scenarios() -> Vec<Scenario> {
    let broke = || Plan::transport(502, "upstream_error");
    let event = |code| Plan::always(Outcome::ErrorEvent(code));
    let timed_out = || Plan::retried(504, "upstream_timeout");
    let stall = timed_out().each(Pace::PAUSED.first_token);
    let silent = timed_out().each(Pace::PAUSED.idle);
    // What goes on and on takes all the time that there is, and leaves none for another attempt; but for the full stack, whose
    // normalizer reads the answer to its end within the deadline of the head.
    let endless = Plan::always(Outcome::Error(504, "deadline_exceeded"))
        .each(Pace::PAUSED.deadline)
        .full(Outcome::Answer, (3, 1));
    let cut = || Plan::transport(502, "upstream_truncated");
    let not_json = Plan::retried(502, "upstream_truncated");
    let (data, named) = (
        format!("data: {ERROR}\n\n"),
        format!("event: error\ndata: {ERROR}\n\n"),
    );
    let with_error = |events: usize, error: &str| {
        let mut events = first(events);
        events.push(error.to_owned());
        stream(&events, [Step::LastChunk])
    };
    let stated = || Plan::retried(500, "server_error");
    vec![
        Scenario::new(
            "error_first",
            (error_beside(""), stated()),
            (with_error(0, &data), stated()),
        ),
        Scenario::new(
            "error_first_named",
            (error_beside(""), stated()),
            (with_error(0, &named), stated()),
        ),
        Scenario::new(
            "error_after_opening",
            (error_beside(""), stated()),
            (with_error(1, &named), stated()),
        ),
        Scenario::new(
            "error_after_output",
            (error_beside("Hello"), stated()),
            (with_error(3, &data), event("server_error")),
        ),
        Scenario::new(
            "error_after_output_named",
            (error_beside("Hello"), stated()),
            (with_error(3, &named), event("server_error")),
        ),
        Scenario::new(
            "cut_before_output",
            (half([Step::Close]), broke()),
            (stream(&first(1), [Step::Close]), broke()),
        ),
        Scenario::new(
            "cut_between_events",
            (half([Step::Close]), broke()),
            (stream(&first(3), [Step::Close]), event("upstream_error")),
        ),
        Scenario::new(
            "cut_inside_an_event",
            (half([Step::Close]), broke()),
            (
                stream(&first(2), [chunk("data: {\"id\": \"chatcm"), Step::Close]),
                event("upstream_error"),
            ),
        ),
        Scenario::new(
            "cut_inside_a_character",
            (
                half([Step::Chunk(vec![0xe2, 0x82].into()), Step::Close]),
                broke(),
            ),
            (
                stream(
                    &first(2),
                    [
                        chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\""),
                        Step::Chunk(vec![0xe2, 0x82].into()),
                        Step::Close,
                    ],
                ),
                event("upstream_error"),
            ),
        ),
        Scenario::new(
            "reset_after_output",
            (half([arrived(), Step::Reset]), broke().each(ARRIVAL)),
            (
                stream(&first(3), [arrived(), Step::Reset]),
                event("upstream_error").each(ARRIVAL),
            ),
        )
        .on_sockets(),
        Scenario::new(
            "bad_chunk_after_output",
            (half([Step::Send("zz\r\n".into())]), broke()),
            (
                stream(&first(3), [Step::Send("zz\r\n".into())]),
                event("upstream_error"),
            ),
        ),
        Scenario::new(
            "truncated_before_output",
            (half([Step::LastChunk]), not_json),
            (stream(&first(1), [Step::LastChunk]), cut()),
        ),
        Scenario::new(
            "truncated_after_output",
            (half([Step::LastChunk]), not_json),
            (
                stream(&first(3), [Step::LastChunk]),
                event("upstream_truncated"),
            ),
        ),
        Scenario::new(
            "no_done",
            (vec![Step::Answer], Plan::always(Outcome::Answer)),
            (
                stream(&first(6), [Step::LastChunk]),
                Plan::always(Outcome::Answer),
            ),
        ),
        Scenario::new(
            "reset_after_done",
            (
                vec![Step::Answer, Step::Reset],
                Plan::always(Outcome::Answer),
            ),
            (
                stream(&answer::events(), [Step::Reset]),
                Plan::always(Outcome::Answer),
            ),
        ),
        Scenario::new(
            "open_after_done",
            (vec![Step::Answer], Plan::always(Outcome::Answer)),
            (
                stream(&answer::events(), [Step::Silence]),
                Plan::always(Outcome::Answer).each(Duration::from_secs(1)),
            ),
        ),
        Scenario::new(
            "empty",
            (vec![chunked("application/json"), Step::LastChunk], cut()),
            (vec![stream_head(), Step::LastChunk], cut()),
        ),
        Scenario::new(
            "only_done",
            (vec![Step::Answer], Plan::always(Outcome::Answer)),
            (stream(&[DONE.to_owned()], [Step::LastChunk]), cut()),
        ),
        Scenario::new(
            "stall_before_output",
            (vec![chunked("application/json"), Step::Silence], silent),
            (stream(&first(1), [Step::Silence]), stall),
        ),
        Scenario::new(
            "comments_only",
            (
                vec![
                    chunked("application/json"),
                    often(" ", 5_000),
                    Step::Silence,
                ],
                endless,
            ),
            (vec![stream_head(), often(": ping\n\n", 5_000)], stall),
        ),
        Scenario::new(
            "stall_after_output",
            (half([Step::Silence]), silent),
            (
                stream(&first(3), [Step::Silence]),
                event("upstream_timeout").each(Pace::PAUSED.idle),
            ),
        ),
        Scenario::new(
            "drip",
            (
                vec![
                    chunked("application/json"),
                    drip("500\r\n{\"id\": \"chatcmpl-1\", \"object\": \"chat.completion\", "),
                ],
                endless,
            ),
            (
                stream(
                    &first(2),
                    [drip(
                        "500\r\ndata: {\"id\": \"chatcmpl-1\", \"object\": \"chat.completion.chunk\", ",
                    )],
                ),
                event("upstream_timeout").each(Pace::PAUSED.idle),
            ),
        ),
        Scenario::new(
            "slow_but_steady",
            (
                vec![Step::WaitMs(10_000), Step::Answer],
                Plan::always(Outcome::Answer).each(Duration::from_secs(10)),
            ),
            (
                steady(),
                Plan::always(Outcome::Answer).each(Duration::from_secs(71)),
            ),
        ),
    ]
}

/// An answer that breaks off with an error beside what there is of it, as OpenRouter gives it.
fn error_beside(text: &str) -> Call {
    let body = format!(
        r#"{{"id":"gen-1","object":"chat.completion","model":"fault-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"error"}}],"error":{{"message":"it is on fire","type":"server_error","param":null,"code":"server_error"}}}}"#
    );
    super::parts::whole(
        &["HTTP/1.1 200 OK", "content-type: application/json"],
        &body,
    )
}

fn often(text: &str, every_ms: u64) -> Step {
    Step::Chunk(Payload::Often(Often {
        data: Data::Text(text.to_owned()),
        times: 1_000,
        every_ms,
        per_byte_ms: 0,
    }))
}

/// A stream that takes ten seconds for each event.
fn steady() -> Call {
    let mut call = vec![stream_head()];
    for event in answer::events() {
        call.extend([Step::WaitMs(10_000), chunk(&event)]);
    }
    call.push(Step::LastChunk);
    call
}

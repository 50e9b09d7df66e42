//! Over layers that do something with answers themselves.

use std::future::{poll_fn, ready};

use bytes::Bytes;
use http::Response;
use tokio::time::Instant;

use super::harness::*;
use crate::message::{
    BoxError, End, Failure, Media, Outcome, Output, ResponseBody, Transform, transform,
};

const PROLOGUE: &str = "{\"message\":{\"content\":\"\"},\"done\":false}\n";
const WORD: &str = "{\"message\":{\"content\":\"Hello\"},\"done\":false}\n";
const LAST: &str =
    "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":1}\n";

/// Makes an event of each line, as a normalizer does of Ollama's.
struct Events;

impl Transform for Events {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        output.push([b"data: ", &*data, b"\n"].concat().into())
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        output.push(DONE.into())
    }
}

fn event(line: &str) -> String {
    format!("data: {line}\n")
}

fn as_events(response: Response<ResponseBody>) -> std::future::Ready<Response<ResponseBody>> {
    let response = transform(response, Events);
    ready(response.map(|body| body.turned_into(Media::EventStream)))
}

/// Reads so many pieces before handing the answer on.
fn read_ahead(
    pieces: usize,
) -> impl Fn(Response<ResponseBody>) -> std::pin::Pin<Box<dyn Future<Output = Response<ResponseBody>>>>
+ Clone {
    move |mut response| {
        Box::pin(async move {
            for _ in 0..pieces {
                poll_fn(|cx| response.body_mut().poll_ahead(cx)).await;
            }
            response
        })
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_become_events_are_held_until_one_has_output() {
    let script = [say(PROLOGUE), Wait(3), say(WORD), Wait(3), say(LAST)];
    let exchange = exchange(LINES, script);
    let start = Instant::now();
    let response = exchange.ask_over(builder(), as_events).await;
    assert_eq!(start.elapsed(), 3 * SECOND);
    let all = [PROLOGUE, WORD, LAST].map(event).concat() + DONE;
    read(response).await.passed(&all);
    assert_eq!(exchange.end(), End::Complete);
}

#[tokio::test(start_paused = true)]
async fn lines_that_become_events_and_stall_end_in_an_event() {
    let exchange = exchange(LINES, [say(WORD), Hang]);
    let response = exchange.ask_over(builder(), as_events).await;
    let got = read(response).await;
    let last = got.broke_after(&event(WORD), Failure::Deadline);
    assert!(last.starts_with("data: {\"error\":"), "{last}");
    assert_eq!(got.took, 30);
}

#[tokio::test(start_paused = true)]
async fn lines_that_become_events_and_say_nothing_are_refused() {
    let exchange = exchange(LINES, [say(PROLOGUE), Hang]);
    let response = exchange.ask_over(builder(), as_events).await;
    assert_eq!(response.status(), 504);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_further_in_counts() {
    let script = || [say(OPENING), say(HELLO), Wait(9), say(STOP), say(DONE)];
    for (pieces, waited) in [(0, 0), (1, 0), (2, 0), (3, 9)] {
        let exchange = exchange(EVENTS, script());
        let start = Instant::now();
        let response = exchange.ask_over(builder(), read_ahead(pieces)).await;
        assert_eq!(start.elapsed(), waited * SECOND, "{pieces}");
        let all = [OPENING, HELLO, STOP, DONE].concat();
        read(response).await.passed(&all);
        assert_eq!(exchange.end(), End::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_while_it_was_read_ahead_is_refused() {
    for pieces in [1, 2] {
        let exchange = exchange(EVENTS, [say(OPENING), Break]);
        let response = exchange.ask_over(builder(), read_ahead(pieces)).await;
        assert_eq!(response.status(), 502, "{pieces}");
        assert_eq!(exchange.end(), End::Failed(Failure::Body));
    }
    let stated = "data: {\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\"}}\n\n";
    let exchange = exchange(EVENTS, [say(stated)]);
    let response = exchange.ask_over(builder(), read_ahead(2)).await;
    assert_eq!(response.status(), 429);
    assert!(matches!(
        Outcome::of(&response),
        Some(Outcome::RateLimited { .. })
    ));
}

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::HeaderMap;
use http_body::SizeHint;
use http_body_util::{BodyExt, StreamBody, channel::Channel};
use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, assert_ready, task};

use tokio::time::Sleep;

use super::*;
use crate::message::{Edited, End, Output, edit_answer};

/// A body that sends what it is told to.
fn fed() -> (
    http_body_util::channel::Sender<Bytes, Infallible>,
    ResponseBody,
) {
    let (sender, body) = Channel::new(8);
    (sender, ResponseBody::new(body))
}

/// Where the completion of `body` will be.
fn watched(body: ResponseBody) -> (ResponseBody, Arc<Mutex<Option<Completion>>>) {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    (
        body.on_end(move |done| *told.lock().unwrap() = Some(done.clone())),
        seen,
    )
}

/// Hands everything on as it is.
struct Nothing;

impl Transform for Nothing {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        output.push(data)
    }
}

/// Knows its length, but not that trailers are all that is left.
struct WithTrailers(Option<&'static str>, Option<HeaderMap>);

impl Body for WithTrailers {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.0.take().map(|data| Frame::data(Bytes::from(data)));
        Poll::Ready(data.or_else(|| self.1.take().map(Frame::trailers)).map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.map_or(0, str::len) as u64)
    }
}

#[tokio::test]
async fn trailers_follow_a_declared_length() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "1".parse().unwrap())]);
    let bare = ResponseBody::new(WithTrailers(Some("whole"), Some(trailers.clone())));
    let watched =
        ResponseBody::new(WithTrailers(Some("whole"), Some(trailers.clone()))).on_end(|_| {});
    let changed =
        ResponseBody::new(WithTrailers(Some("whole"), Some(trailers.clone()))).transform(Nothing);
    for body in [bare, watched, changed] {
        let all = body.collect().await.unwrap();
        assert_eq!(all.trailers(), Some(&trailers));
        assert_eq!(all.to_bytes(), "whole");
    }
}

#[tokio::test]
async fn an_answer_of_declared_length_is_whole_before_its_trailers_are_read() {
    let (mut body, seen) = watched(ResponseBody::new(WithTrailers(
        Some("whole"),
        Some(HeaderMap::new()),
    )));
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(seen.lock().unwrap().as_ref().unwrap().end, End::Complete);
}

#[tokio::test]
async fn an_empty_answer_is_whole_though_it_is_transformed() {
    for body in [ResponseBody::empty(), ResponseBody::from("")] {
        let (body, seen) = watched(body.transform(Nothing));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "");
        assert_eq!(seen.lock().unwrap().as_ref().unwrap().end, End::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_frame_is_no_first_byte() {
    let (mut sender, body) = fed();
    let (mut body, seen) = watched(body);
    let start = tokio::time::Instant::now();
    sender.send_data(Bytes::new()).await.unwrap();
    body.frame().await.unwrap().unwrap();
    advance(Duration::from_secs(1)).await;
    sender.send_data("x".into()).await.unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(
        seen.lock().unwrap().as_ref().unwrap().first_byte_at,
        Some(start + Duration::from_secs(1))
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_deadlines_the_earlier_counts_whichever_was_set_first() {
    let [soon, late] = [1, 60].map(|seconds| Deadline::after(Duration::from_secs(seconds)));
    for deadlines in [[soon, late], [late, soon]] {
        let (_sender, body) = fed();
        let mut body = body;
        for deadline in deadlines {
            body.expire(deadline, None);
        }
        let start = tokio::time::Instant::now();
        body.frame().await.unwrap().unwrap_err();
        assert!(start.elapsed() <= Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_outlast_the_deadline() {
    let (mut sender, mut body) = fed();
    body.expire(Deadline::after(Duration::from_secs(5)), None);
    let (body, seen) = watched(body);
    let mut body = task::spawn(body);
    assert_pending!(body.enter(|cx, body| body.poll_frame(cx)));
    // From here on there is always something to read.
    for _ in 0..8 {
        sender.send_data("more".into()).await.unwrap();
    }
    assert!(
        assert_ready!(body.enter(|cx, body| body.poll_frame(cx)))
            .unwrap()
            .is_ok()
    );
    sleep(Duration::from_secs(6)).await;
    assert_pending!(body.enter(|cx, body| body.poll_frame(cx)));
    assert!(
        assert_ready!(body.enter(|cx, body| body.poll_frame(cx)))
            .unwrap()
            .is_err()
    );
    assert_eq!(
        seen.lock().unwrap().as_ref().unwrap().end,
        End::Failed(Failure::Deadline)
    );
}

/// Says something every second.
struct Ticks(Pin<Box<Sleep>>);

impl Transform for Ticks {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        output.push(data)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output<'_>,
    ) -> Poll<Result<(), BoxError>> {
        ready!(self.0.as_mut().poll(cx));
        self.0 = Box::pin(sleep(Duration::from_secs(1)));
        Poll::Ready(output.push("tick".into()))
    }
}

/// Holds everything until there are eight bytes.
struct Eight(Vec<u8>);

impl Transform for Eight {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        self.0.extend_from_slice(&data);
        if self.0.len() < 8 {
            Ok(())
        } else {
            output.push(std::mem::take(&mut self.0).into())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transform_that_acts_by_time_goes_on_though_a_later_one_holds_what_it_says() {
    let (_sender, body) = fed();
    let ticks = Ticks(Box::pin(sleep(Duration::from_secs(1))));
    let mut body = body.transform(ticks).transform(Eight(Vec::new()));
    let start = tokio::time::Instant::now();
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame())
        .await
        .unwrap();
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "ticktick");
    assert!(start.elapsed() < Duration::from_secs(3), "nobody woke it");
}

#[tokio::test]
async fn events_before_one_that_is_too_long_are_handed_on() {
    let text = format!(
        "data: {{}}\n\ndata: {{\"a\":\"{}\"}}\n\n",
        "x".repeat(17 << 20)
    );
    let body = ResponseBody::from(text).with_media(Media::EventStream);
    let mut body = edit_answer(Response::new(body), |_| Edited::Keep).into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "data: {}\n\n"
    );
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn an_error_that_a_stream_states_is_its_end_though_nothing_follows() {
    let stated = r#"data: {"error":{"message":"x","code":502}}"#;
    for separator in ["", "\n\n"] {
        let body = ResponseBody::new(format!("{stated}{separator}"));
        let (body, seen) = watched(body.with_media(Media::EventStream));
        body.collect().await.unwrap();
        let completion = seen.lock().unwrap().take().unwrap();
        assert_eq!(completion.end, End::Failed(Failure::Stated));
        assert!(completion.error.is_some());
    }
}

/// A body that breaks when it has said this.
fn broken_after(text: &'static str) -> ResponseBody {
    let frames: [Result<_, BoxError>; 2] = [Ok(Frame::data(text.into())), Err("reset".into())];
    ResponseBody::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn an_error_comes_at_a_later_poll_than_what_came_before_it() {
    let (body, seen) = watched(broken_after("the last"));
    let mut body = task::spawn(body);
    let last = assert_ready!(body.enter(|cx, body| body.poll_frame(cx)));
    assert_eq!(last.unwrap().unwrap().into_data().unwrap(), "the last");
    // A server that finds nothing more for now sends what it has.
    assert_pending!(body.enter(|cx, body| body.poll_frame(cx)));
    assert!(body.is_woken());
    assert!(!body.is_end_stream());
    assert!(
        assert_ready!(body.enter(|cx, body| body.poll_frame(cx)))
            .unwrap()
            .is_err()
    );
    assert!(body.is_end_stream());
    let end = seen.lock().unwrap().as_ref().unwrap().end;
    assert_eq!(end, End::Failed(Failure::Body));
}

#[tokio::test]
async fn what_breaks_after_its_terminal_event_has_ended_well() {
    let body = broken_after("data: [DONE]\n\n").with_media(Media::EventStream);
    let (body, seen) = watched(body);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "data: [DONE]\n\n");
    assert_eq!(seen.lock().unwrap().as_ref().unwrap().end, End::Complete);
}

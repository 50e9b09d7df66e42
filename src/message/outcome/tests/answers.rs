//! Reading an error's body without keeping it from the caller.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep};

use crate::message::{
    ApiError, BoxError, End, Failure, Outcome, Output, Reason, Rejection, ResponseBody, Transform,
    classify, classify_with,
};

/// Sends its pieces, each after its wait; `None` breaks the body off.
struct Pieces {
    rest: std::vec::IntoIter<(Duration, Option<Bytes>)>,
    current: Option<(Pin<Box<Sleep>>, Option<Bytes>)>,
    polls: Arc<AtomicUsize>,
}

impl Pieces {
    fn of(pieces: Vec<(Duration, Option<Bytes>)>) -> Self {
        Self {
            rest: pieces.into_iter(),
            current: None,
            polls: Arc::default(),
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls.fetch_add(1, Relaxed);
        if self.current.is_none() {
            let Some((wait, piece)) = self.rest.next() else {
                return Poll::Ready(None);
            };
            self.current = Some((Box::pin(sleep(wait)), piece));
        }
        let (timer, _) = self.current.as_mut().unwrap();
        std::task::ready!(timer.as_mut().poll(cx));
        let (_, piece) = self.current.take().unwrap();
        Poll::Ready(Some(piece.map(Frame::data).ok_or_else(|| "reset".into())))
    }
}

fn answer<B>(status: u16, body: B) -> Response<ResponseBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    ResponseBody::wrap(
        Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(body)
            .unwrap(),
    )
}

fn pieces(texts: &[(u64, &'static str)]) -> Pieces {
    let pieces = texts
        .iter()
        .map(|(millis, text)| (Duration::from_millis(*millis), Some(Bytes::from(*text))));
    Pieces::of(pieces.collect())
}

const QUOTA: &str = r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;

#[tokio::test(start_paused = true)]
async fn an_error_is_read_and_handed_on_byte_for_byte() {
    let (front, back) = QUOTA.split_at(40);
    let response = classify(answer(429, pieces(&[(300, front), (300, back)]))).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::QuotaExhausted));
    assert!(!response.body().is_end_stream());
    assert_eq!(
        response.body().size_hint().exact(),
        Some(QUOTA.len() as u64)
    );
    let mut body = response.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        front
    );
    assert_eq!(body.collect().await.unwrap().to_bytes(), back);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_waited_for_one_second_and_streams_on() {
    let begun = Instant::now();
    let response = classify(answer(
        503,
        pieces(&[(100, "{\"error\":"), (60_000, "\"late\"}")]),
    ))
    .await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(
        Outcome::of(&response),
        Some(Outcome::Overloaded { retry_after: None })
    );
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "{\"error\":\"late\"}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endless_body_is_read_to_64_kib_and_streams_on() {
    let piece = Bytes::from(vec![b' '; 10 << 10]);
    let body = Pieces::of(vec![(Duration::ZERO, Some(piece.clone())); 100]);
    let polls = Arc::clone(&body.polls);
    let response = classify(answer(500, body)).await;
    assert_eq!(polls.load(Relaxed), 7);
    assert_eq!(Outcome::of(&response), Some(Outcome::ServerError));
    assert_eq!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .len(),
        100 * piece.len()
    );
}

#[tokio::test(start_paused = true)]
async fn an_endless_body_without_bytes_is_not_read_for_ever() {
    struct Nothing;

    impl Body for Nothing {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }
    }

    let response = classify(answer(500, Nothing)).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::ServerError));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_still_broken_for_the_caller() {
    let body = Pieces::of(vec![
        (Duration::ZERO, Some(Bytes::from("{\"err"))),
        (Duration::ZERO, None),
    ]);
    let response = classify(answer(500, body)).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::ServerError));
    assert_eq!(response.body().size_hint().exact(), None);
    let (ends, end) = std::sync::mpsc::channel();
    let mut body = response
        .into_body()
        .on_end(move |completion| ends.send(completion.end).unwrap());
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "{\"err"
    );
    assert!(!body.is_end_stream());
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
    assert_eq!(end.recv().unwrap(), End::Failed(Failure::Body));
}

#[tokio::test]
async fn a_body_read_ahead_is_counted_once_and_settled_when_it_is_handed_on() {
    let (inner, inner_ends) = std::sync::mpsc::channel();
    let (outer, outer_ends) = std::sync::mpsc::channel();
    let response = answer(429, pieces(&[(0, QUOTA)])).map(|body| {
        body.on_end(move |completion| inner.send((completion.end, completion.bytes)).unwrap())
    });
    let response = classify(response).await;
    assert!(inner_ends.try_recv().is_err());
    let body = response.into_body();
    let body =
        body.on_end(move |completion| outer.send((completion.end, completion.bytes)).unwrap());
    body.collect().await.unwrap();
    let whole = (End::Failed(Failure::Stated), QUOTA.len() as u64);
    assert_eq!(
        (inner_ends.recv().unwrap(), outer_ends.recv().unwrap()),
        (whole, whole)
    );
}

#[tokio::test]
async fn a_watch_that_comes_after_the_reading_counts_what_was_read() {
    let response = classify(answer(429, pieces(&[(0, QUOTA)]))).await;
    let (ends, end) = std::sync::mpsc::channel();
    let body = response
        .into_body()
        .on_end(move |completion| ends.send((completion.end, completion.bytes)).unwrap());
    body.collect().await.unwrap();
    assert_eq!(
        end.recv().unwrap(),
        (End::Failed(Failure::Stated), QUOTA.len() as u64)
    );
}

#[tokio::test]
async fn transforms_from_before_and_after_see_what_was_read_ahead() {
    struct Mark(&'static str);

    impl Transform for Mark {
        fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
            output.push([self.0.as_bytes(), &data].concat().into())
        }

        fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
            output.push(Bytes::from_static(b"."))
        }
    }

    let response = answer(500, pieces(&[(0, "a"), (0, "b")])).map(|body| body.transform(Mark("1")));
    let response = classify(response)
        .await
        .map(|body| body.transform(Mark("2")));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "21a21b2.."
    );
}

#[tokio::test]
async fn a_success_is_not_read() {
    let body = pieces(&[(0, QUOTA)]);
    let polls = Arc::clone(&body.polls);
    let response = classify(answer(200, body)).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::Success));
    assert_eq!(polls.load(Relaxed), 0);
}

#[tokio::test]
async fn what_is_known_already_is_not_decided_again() {
    let body = pieces(&[(0, QUOTA)]);
    let polls = Arc::clone(&body.polls);
    let mut response = answer(429, body);
    response
        .extensions_mut()
        .insert(Rejection::new("test", Reason::Overloaded));
    let response = classify(response).await;
    assert_eq!(Outcome::of(&response).unwrap().as_str(), "refused");
    let mut response = classify(response).await;
    response.extensions_mut().insert(Outcome::ServerError);
    assert_eq!(
        Outcome::of(&classify(response).await),
        Some(Outcome::ServerError)
    );
    assert_eq!(polls.load(Relaxed), 0);
}

#[tokio::test]
async fn an_opinion_of_ones_own_comes_before_the_tables() {
    let ours = |status: StatusCode, _: &HeaderMap, error: &ApiError| {
        (status == 418 && error.code() == Some("short_and_stout"))
            .then_some(Outcome::Overloaded { retry_after: None })
    };
    let teapot = r#"{"error":{"message":"x","code":"short_and_stout"}}"#;
    let response = classify_with(answer(418, pieces(&[(0, teapot)])), &ours).await;
    assert_eq!(Outcome::of(&response).unwrap().as_str(), "overloaded");
    let response = classify_with(answer(429, pieces(&[(0, QUOTA)])), &ours).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::QuotaExhausted));
}

#[test]
fn classifying_is_send() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&classify(Response::new(ResponseBody::empty())));
}

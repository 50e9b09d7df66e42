//! The mock upstream: two fixed answers in OpenAI's schema, one whole and one streamed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::time::{self, Interval};

/// A request with `x-bench: stream` is answered by a stream.
pub(crate) const X_BENCH: &str = "x-bench";
pub(crate) const STREAM: &str = "stream";
pub(crate) const PATH: &str = "/v1/chat/completions";

const EVENTS: usize = 64;

/// Time between two events of a stream, the shortest that tokio's timer keeps. Sent as fast as they can be, a dozen
/// events would wait for a proxy at each of its reads, and a slower proxy would be flattered by reading more of them
/// at once.
const PACE: Duration = Duration::from_millis(1);

const COMPLETION: &str = concat!(
    r#"{"id":"chatcmpl-CfN2vJkq8mZbX4tRyLw0aPdHs7UeG","object":"chat.completion","created":1763683200,"#,
    r#""model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"#,
    r#""A relay sits between a program and the services it calls. It passes every request on and hands "#,
    r#"every answer back, and on the way it may rename, count, retry or refuse.","refusal":null,"#,
    r#""annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":52,"#,
    r#""completion_tokens":36,"total_tokens":88,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"#,
    r#""completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"#,
    r#""rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_51db84afab"}"#,
);

/// The answer to a request that does not stream.
pub(crate) fn completion() -> Bytes {
    Bytes::from_static(COMPLETION.as_bytes())
}

/// The frames of a streamed answer: its events, then `[DONE]`.
pub(crate) fn events() -> Vec<Bytes> {
    let event = |delta: &str, finish_reason: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-CfN2vJkq8mZbX4tRyLw0aPdHs7UeG\",\"object\":\"chat.completion.chunk\",\
             \"created\":1763683200,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\
             \"system_fingerprint\":\"fp_51db84afab\",\"choices\":[{{\"index\":0,\"delta\":{delta},\
             \"logprobs\":null,\"finish_reason\":{finish_reason}}}]}}\n\n"
        ))
    };
    let mut frames = vec![event(
        r#"{"role":"assistant","content":"","refusal":null}"#,
        "null",
    )];
    let words = [
        "A",
        " relay",
        " passes",
        " every",
        " request",
        " on",
        ",",
        " untouched",
        ".",
    ];
    frames.extend(
        words
            .iter()
            .cycle()
            .take(EVENTS - 2)
            .map(|word| event(&format!(r#"{{"content":"{word}"}}"#), "null")),
    );
    frames.push(event("{}", r#""stop""#));
    frames.push(Bytes::from_static(b"data: [DONE]\n\n"));
    frames
}

#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    events: Arc<[Bytes]>,
}

impl Upstream {
    pub(crate) fn new() -> Self {
        Self {
            events: events().into(),
        }
    }
}

impl Service<Request<Incoming>> for Upstream {
    type Response = Response<Either<Full<Bytes>, EventStream>>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let events = self.events.clone();
        Box::pin(async move {
            let known = request.method() == Method::POST && request.uri().path() == PATH;
            let streams = request
                .headers()
                .get(X_BENCH)
                .is_some_and(|value| value == STREAM);
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
            let (content_type, answer) = if streams {
                (
                    "text/event-stream; charset=utf-8",
                    Either::Right(EventStream::new(events)),
                )
            } else {
                ("application/json", Either::Left(Full::new(completion())))
            };
            let mut response = Response::new(answer);
            if !known {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            Ok(response)
        })
    }
}

/// Sends an event every [`PACE`].
#[derive(Debug)]
pub(crate) struct EventStream {
    events: Arc<[Bytes]>,
    next: usize,
    pace: Interval,
}

impl EventStream {
    fn new(events: Arc<[Bytes]>) -> Self {
        Self {
            events,
            next: 0,
            pace: time::interval(PACE),
        }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.pace.poll_tick(cx));
        let event = self.events.get(self.next).cloned();
        self.next += 1;
        Poll::Ready(event.map(|event| Ok(Frame::data(event))))
    }
}

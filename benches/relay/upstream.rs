//! The mock upstream: fixed answers, whole and streamed, in OpenAI's schema and beside it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::time::{self, Interval};

/// Names the [`Answer`] that a request is to get.
pub(crate) const X_BENCH: &str = "x-bench";
pub(crate) const PATH: &str = "/v1/chat/completions";

const EVENTS: usize = 64;

/// Time between two events of a stream, the shortest that tokio's timer keeps. Sent as fast as they can be, a dozen
/// events would wait for a proxy at each of its reads, and a slower proxy would be flattered by reading more of them
/// at once.
const PACE: Duration = Duration::from_millis(1);

/// The same for a stream that only has to stay open. So long that hundreds of them leave a proxy's cpu idle in between: where events have to
/// wait, a client reads several at once, and its buffers grow by that rather than by what a stream takes.
const SLOW_PACE: Duration = Duration::from_millis(25);

/// What the upstream answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Whole,
    /// As providers answer whose API only resembles OpenAI's.
    Deviating,
    Stream,
    SlowStream,
}

impl Answer {
    const ALL: [Self; 4] = [Self::Whole, Self::Deviating, Self::Stream, Self::SlowStream];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Deviating => "deviating",
            Self::Stream => "stream",
            Self::SlowStream => "slow-stream",
        }
    }

    fn asked_for(headers: &HeaderMap) -> Self {
        let named = headers.get(X_BENCH);
        let mut all = Self::ALL.into_iter();
        all.find(|answer| named.is_some_and(|named| named == answer.as_str()))
            .unwrap_or(Self::Whole)
    }

    /// The body, all of it.
    pub(crate) fn body(self) -> Bytes {
        match self {
            Self::Whole => Bytes::from_static(COMPLETION.as_bytes()),
            Self::Deviating => Bytes::from_static(DEVIATING.as_bytes()),
            Self::Stream | Self::SlowStream => events().concat().into(),
        }
    }
}

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

/// No object, an end of another name, content in parts, counts under other names.
const DEVIATING: &str = concat!(
    r#"{"id":"","created":1763683200.5,"model":"gpt-4o-mini-2024-07-18","choices":[{"message":{"role":"assistant","#,
    r#""content":[{"type":"text","text":"A relay sits between a program and the services it calls. It passes every request on and hands "},"#,
    r#"{"type":"text","text":"every answer back, and on the way it may rename, count, retry or refuse."}]},"#,
    r#""finish_reason":"eos"}],"usage":{"input_tokens":52,"output_tokens":36}}"#,
);

/// The frames of a streamed answer: its events, then `[DONE]`.
fn events() -> Vec<Bytes> {
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
            let answer = Answer::asked_for(request.headers());
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
            let stream = |pace| {
                (
                    "text/event-stream; charset=utf-8",
                    Either::Right(EventStream::new(events, pace)),
                )
            };
            let (content_type, answer) = match answer {
                Answer::Stream => stream(PACE),
                Answer::SlowStream => stream(SLOW_PACE),
                whole => ("application/json", Either::Left(Full::new(whole.body()))),
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

/// Sends an event at every tick.
#[derive(Debug)]
pub(crate) struct EventStream {
    events: Arc<[Bytes]>,
    next: usize,
    pace: Interval,
}

impl EventStream {
    fn new(events: Arc<[Bytes]>, pace: Duration) -> Self {
        Self {
            events,
            next: 0,
            pace: time::interval(pace),
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

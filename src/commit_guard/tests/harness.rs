//! Upstreams that answer by script, and what their callers get.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::unfold;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use tower_layer::Layer;

use crate::{
    commit_guard::{CommitGuardBuilder, CommitGuardLayer},
    message::{BoxError, Completion, End, Failure, RequestBody, ResponseBody},
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What a scripted upstream does next.
#[derive(Debug, Clone)]
pub(super) enum Say {
    Data(Bytes),
    /// Nothing, for so many seconds.
    Wait(u64),
    Break,
    /// Nothing, for ever.
    Hang,
}

pub(super) use Say::{Break, Hang, Wait};

pub(super) fn say(text: &'static str) -> Say {
    Say::Data(Bytes::from_static(text.as_bytes()))
}

pub(super) const EVENTS: &str = "text/event-stream";
pub(super) const JSON: &str = "application/json";
pub(super) const LINES: &str = "application/x-ndjson";

pub(super) const OPENING: &str =
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(super) const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
pub(super) const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(super) const DONE: &str = "data: [DONE]\n\n";

/// How the answers of an upstream ended, as a layer further in is told.
pub(super) type Ends = Arc<Mutex<Vec<Completion>>>;

/// One exchange: an upstream that answers by script to a request for `path`.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) path: &'static str,
    pub(super) request: &'static str,
    pub(super) head: Vec<(&'static str, &'static str)>,
    pub(super) status: u16,
    pub(super) head_after: Duration,
    pub(super) script: Vec<Say>,
    pub(super) ends: Ends,
}

pub(super) fn exchange(media: &'static str, script: impl IntoIterator<Item = Say>) -> Exchange {
    Exchange {
        path: "/v1/chat/completions",
        request: r#"{"model":"any","stream":true}"#,
        head: vec![("content-type", media), ("x-request-id", "req-1")],
        status: 200,
        head_after: Duration::ZERO,
        script: script.into_iter().collect(),
        ends: Ends::default(),
    }
}

pub(super) fn builder() -> CommitGuardBuilder {
    CommitGuardLayer::builder()
}

/// Stands in the extensions of the upstream's answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark;

impl Exchange {
    pub(super) fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.head.push((name, value));
        self
    }

    pub(super) fn response(&self) -> Response<ResponseBody> {
        let steps = self.script.clone().into_iter();
        let body = StreamBody::new(unfold(steps, |mut steps| async move {
            loop {
                match steps.next()? {
                    Say::Data(data) => return Some((Ok(Frame::data(data)), steps)),
                    Wait(seconds) => sleep(SECOND * u32::try_from(seconds).unwrap()).await,
                    Break => return Some((Err(BoxError::from("reset")), steps)),
                    Hang => std::future::pending().await,
                }
            }
        }));
        let mut response = Response::builder().status(self.status).extension(Mark);
        for (name, value) in &self.head {
            response = response.header(*name, *value);
        }
        let ends = Arc::clone(&self.ends);
        ResponseBody::wrap(response.body(body).unwrap())
            .map(|body| body.on_end(move |done| ends.lock().unwrap().push(done.clone())))
    }

    pub(super) fn request(&self) -> Request<RequestBody> {
        Request::post(self.path)
            .body(RequestBody::json(self.request))
            .unwrap()
    }

    /// What the caller gets through a guard of these settings.
    pub(super) async fn ask(&self, settings: CommitGuardBuilder) -> Response<ResponseBody> {
        self.ask_over(settings, |response| async { response }).await
    }

    /// The same, with a layer further in that does something with answers.
    pub(super) async fn ask_over<F>(
        &self,
        settings: CommitGuardBuilder,
        within: impl Fn(Response<ResponseBody>) -> F + Clone,
    ) -> Response<ResponseBody>
    where
        F: Future<Output = Response<ResponseBody>>,
    {
        let exchange = self.clone();
        let upstream = tower::service_fn(move |_: Request<RequestBody>| {
            let (exchange, within) = (exchange.clone(), within.clone());
            async move {
                sleep(exchange.head_after).await;
                Ok::<_, Infallible>(within(exchange.response()).await)
            }
        });
        let guard = settings.build().unwrap().layer(upstream);
        let Ok(response) = guard.oneshot(self.request()).await;
        response
    }

    /// How the answer ended, as a layer further in was told, once.
    pub(super) fn end(&self) -> End {
        let ends = self.ends.lock().unwrap();
        assert_eq!(ends.len(), 1, "told once");
        ends[0].end
    }
}

/// What a caller has read.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) text: String,
    pub(super) broken: bool,
    /// How it ended, as a layer further out is told.
    pub(super) end: End,
    /// In seconds; the moment that last words have to be sent is none.
    pub(super) took: u64,
}

pub(super) async fn read(response: Response<ResponseBody>) -> Got {
    let start = Instant::now();
    let (tell, told) = std::sync::mpsc::channel();
    let mut body = response
        .into_body()
        .on_end(move |done| tell.send(done.end).unwrap());
    let mut bytes = Vec::new();
    let mut broken = false;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => broken = true,
        }
    }
    Got {
        text: String::from_utf8(bytes).unwrap(),
        broken,
        end: told.recv().unwrap(),
        took: start.elapsed().as_secs(),
    }
}

impl Got {
    /// It broke, after `delivered`, with one event more; what that says.
    pub(super) fn broke_after(&self, delivered: &str, failure: Failure) -> &str {
        assert!(self.broken, "{self:?}");
        assert_eq!(self.end, End::Failed(failure), "{self:?}");
        let event = self.text.strip_prefix(delivered);
        let event = event.unwrap_or_else(|| panic!("{delivered:?} is no prefix of {self:?}"));
        assert!(!event.contains("[DONE]"), "{self:?}");
        event
    }

    pub(super) fn passed(&self, text: &str) {
        assert_eq!(self.text, text);
        assert!(!self.broken);
        assert_eq!(self.end, End::Complete);
    }
}

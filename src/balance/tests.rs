mod choosing;
mod config;
mod load;
mod shares;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::sleep;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    client::{Target, Upstreams, UpstreamsBuilder},
    message::{RequestBody, ResponseBody, X_RELAY_UPSTREAM},
};

const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// An upstream whose head comes at once, its first token after a time, and its end later still. What it does may change.
#[derive(Clone)]
struct Upstream {
    name: &'static str,
    /// In milliseconds.
    first_token: Arc<AtomicU64>,
    /// And from there to the end.
    rest: Arc<AtomicU64>,
    status: Arc<AtomicU16>,
    calls: Arc<AtomicU64>,
}

impl Upstream {
    fn new(name: &'static str, first_token: u64, rest: u64) -> Self {
        Self {
            name,
            first_token: Arc::new(first_token.into()),
            rest: Arc::new(rest.into()),
            status: Arc::new(200.into()),
            calls: Arc::default(),
        }
    }

    fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    fn answer(&self) -> Response<ResponseBody> {
        self.calls.fetch_add(1, SeqCst);
        let status = self.status.load(SeqCst);
        if status != 200 {
            let mut response = Response::new(ResponseBody::from("{}"));
            *response.status_mut() = status.try_into().unwrap();
            return response;
        }
        let steps = [
            (self.first_token.load(SeqCst), TOKEN),
            (self.rest.load(SeqCst), DONE),
        ];
        let frames = stream::unfold(steps.into_iter(), |mut steps| async move {
            let (millis, text) = steps.next()?;
            sleep(Duration::from_millis(millis)).await;
            let frame = Frame::data(Bytes::from_static(text.as_bytes()));
            Some((Ok::<_, Infallible>(frame), steps))
        });
        let mut response = Response::new(StreamBody::new(frames));
        let media = "text/event-stream".parse().unwrap();
        response.headers_mut().insert("content-type", media);
        ResponseBody::wrap(response)
    }

    fn target(&self) -> Target {
        let upstream = self.clone();
        let stack = service_fn(move |_: Request<RequestBody>| {
            let response = upstream.answer();
            async { Ok::<_, Infallible>(response) }
        });
        Target::new(self.name, stack)
    }
}

fn three(first_token: u64, rest: u64) -> [Upstream; 3] {
    ["a", "b", "c"].map(|name| Upstream::new(name, first_token, rest))
}

fn targets(all: &[Upstream]) -> Upstreams {
    let all = all.iter().map(Upstream::target);
    let all = all.fold(Upstreams::builder(), UpstreamsBuilder::add);
    all.build().unwrap()
}

fn balance(builder: BalanceBuilder, all: &[Upstream]) -> Balance<Target> {
    builder.seed(7).balance(&targets(all)).unwrap()
}

fn chat() -> Request<RequestBody> {
    with_body(r#"{"model":"fast","stream":true,"messages":[]}"#)
}

fn with_body(body: impl Into<String>) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .body(RequestBody::json(body.into()))
        .unwrap()
}

/// The answer, up to its body, and who gave it.
async fn ask(
    balance: &Balance<Target>,
    request: Request<RequestBody>,
) -> (String, Response<ResponseBody>) {
    let Ok(response) = balance.clone().oneshot(request).await;
    let upstream = response.headers()[X_RELAY_UPSTREAM].to_str().unwrap();
    (upstream.to_owned(), response)
}

/// The same, read to its end.
async fn whole(balance: &Balance<Target>, request: Request<RequestBody>) -> String {
    let (upstream, response) = ask(balance, request).await;
    response.into_body().collect().await.unwrap();
    upstream
}

/// Who was asked by each of `count` requests that come `every` so many milliseconds, each read to its end.
async fn load(balance: &Balance<Target>, count: usize, every: u64) -> Vec<String> {
    let mut asked = Vec::new();
    for _ in 0..count {
        let (upstream, response) = ask(balance, chat()).await;
        tokio::spawn(response.into_body().collect());
        asked.push(upstream);
        sleep(Duration::from_millis(every)).await;
    }
    asked
}

/// The share of `name`, in percent.
fn percent(asked: &[String], name: &str) -> usize {
    let count = asked.iter().filter(|asked| *asked == name).count();
    count * 100 / asked.len()
}

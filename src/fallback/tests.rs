use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Request, Response};
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{
    client::{Target, Upstreams, UpstreamsBuilder},
    message::{ApiError, Dialect, Reason, Rejection, RequestBody, ResponseBody},
    testing::read,
};

mod choosing;
mod config;
mod nesting;
mod service;
mod sticky;
mod waiting;

const CHAT: &str = r#"{"model":"fast","messages":[{"role":"user","content":"Hello!"}]}"#;

fn chat() -> Request<RequestBody> {
    post("/v1/chat/completions", CHAT)
}

fn post(path: &str, body: &'static str) -> Request<RequestBody> {
    Request::post(path).body(RequestBody::json(body)).unwrap()
}

/// An answer of this status, whose body is `text`.
fn answer(status: u16, text: impl Into<String>) -> Response<ResponseBody> {
    Response::builder()
        .status(status)
        .body(ResponseBody::from(text.into()))
        .unwrap()
}

/// An error with this code, as OpenAI writes it.
fn error(status: u16, code: &'static str) -> Response<ResponseBody> {
    let status = status.try_into().unwrap();
    ApiError::new(status, "an_error", "it failed")
        .with_code(code)
        .to_response(Dialect::OpenAi)
}

/// What an open circuit breaker answers.
fn open(wait: Duration) -> Response<ResponseBody> {
    let error = ApiError::new(503.try_into().unwrap(), "server_error", "open")
        .with_code("circuit_open")
        .with_retry_after(wait);
    Rejection::new("circuit_breaker", Reason::CircuitOpen).into_response(&error, Dialect::OpenAi)
}

/// An upstream that answers by the number of the call, and how often it was called.
#[derive(Clone)]
struct Scripted {
    calls: Arc<AtomicU32>,
    stack: BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, Infallible>,
}

impl Scripted {
    fn new(answer: impl Fn(u32) -> Response<ResponseBody> + Clone + Send + Sync + 'static) -> Self {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let stack = service_fn(move |_: Request<RequestBody>| {
            let response = answer(counted.fetch_add(1, SeqCst));
            async { Ok::<_, Infallible>(response) }
        });
        Self {
            calls,
            stack: BoxCloneSyncService::new(stack),
        }
    }

    fn status(code: u16) -> Self {
        Self::new(move |_| answer(code, format!("answer {code}")))
    }

    fn calls(&self) -> u32 {
        self.calls.load(SeqCst)
    }
}

/// Targets `a`, `b`, `c`.
fn upstreams<'a>(stacks: impl IntoIterator<Item = &'a Scripted>) -> Upstreams {
    let targets = ["a", "b", "c"].into_iter().zip(stacks);
    targets
        .map(|(name, scripted)| Target::new(name, scripted.stack.clone()))
        .fold(Upstreams::builder(), UpstreamsBuilder::add)
        .build()
        .unwrap()
}

/// The status, the body, and the milliseconds that it took.
async fn ask<S>(service: &S, request: Request<RequestBody>) -> (u16, String, u128)
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>, Error = Infallible> + Clone,
{
    let start = Instant::now();
    let Ok(response) = service.clone().oneshot(request).await;
    let elapsed = start.elapsed().as_millis();
    let (head, text) = read(response).await;
    (head.status.as_u16(), text, elapsed)
}

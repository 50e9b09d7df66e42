mod gates;
mod service;

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::channel::{Channel, Sender};
use tokio::sync::oneshot;
use tokio_test::task::{self, Spawn};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};

use super::*;
use crate::message::{BodyError, Rejection, RequestBody, ResponseBody};

type Boxed = BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, Infallible>;

/// A request that was sent on, and where its answer is awaited.
type Asked = (
    Request<RequestBody>,
    oneshot::Sender<Response<ResponseBody>>,
);

/// An upstream whose answers the test gives.
#[derive(Debug, Clone, Default)]
struct Upstream(Arc<Mutex<VecDeque<Asked>>>);

impl Service<Request<RequestBody>> for Upstream {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (answer, answered) = oneshot::channel();
        self.0.lock().unwrap().push_back((request, answer));
        Box::pin(async move { Ok(answered.await.expect("the test answers")) })
    }
}

impl Upstream {
    fn asked(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Who is asked for longest, by the header `x-name`.
    fn next(&self) -> (String, oneshot::Sender<Response<ResponseBody>>) {
        let (request, answer) = self.0.lock().unwrap().pop_front().expect("nobody asks");
        let name = request.headers()["x-name"].to_str().unwrap().to_owned();
        (name, answer)
    }
}

fn request(name: &str, priority: &str) -> Request<RequestBody> {
    let request = Request::post("/v1/chat/completions")
        .header("x-name", name)
        .header("x-priority", priority);
    request.body(RequestBody::json("{}")).unwrap()
}

fn builder(in_flight: usize, pending: usize) -> AdmissionBuilder {
    AdmissionLayer::builder()
        .limits(Limits::new(in_flight, pending))
        .priority(PriorityBy::header("x-priority".parse().unwrap()))
}

fn stack(builder: AdmissionBuilder) -> (Boxed, Upstream, AdmissionHandle) {
    let layer = builder.build().unwrap();
    let upstream = Upstream::default();
    let service = BoxCloneSyncService::new(layer.layer(upstream.clone()));
    (service, upstream, layer.handle())
}

/// An answer whose body the test sends.
fn streamed() -> (Response<ResponseBody>, Sender<Bytes, BodyError>) {
    let (sender, body) = Channel::new(4);
    (Response::new(ResponseBody::new(body)), sender)
}

fn is_shed(response: &Response<ResponseBody>) -> bool {
    let rejection = response.extensions().get::<Rejection>();
    rejection.is_some_and(|rejection| rejection.layer == "admission") && response.status() == 503
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;
type Call = Spawn<Answering>;

/// Asks once: the answer, or the call that waits for it.
fn ask(service: &Boxed, request: Request<RequestBody>) -> Result<Response<ResponseBody>, Call> {
    let mut call = task::spawn(Box::pin(service.clone().oneshot(request)) as Answering);
    match call.poll() {
        Poll::Ready(Ok(answer)) => Ok(answer),
        Poll::Pending => Err(call),
    }
}

/// One that is asked, or waits.
fn waiting(service: &Boxed, name: &str, priority: &str) -> Call {
    match ask(service, request(name, priority)) {
        Ok(answer) => panic!("answered at once: {answer:?}"),
        Err(call) => call,
    }
}

/// One that is answered at once.
fn at_once(service: &Boxed, name: &str, priority: &str) -> Response<ResponseBody> {
    let Ok(answer) = ask(service, request(name, priority)) else {
        panic!("it waits, or is asked");
    };
    answer
}

/// What comes of a call that is called by now.
fn answered(mut call: Call) -> Response<ResponseBody> {
    assert!(call.is_woken());
    match call.poll() {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Pending => panic!("no answer"),
    }
}

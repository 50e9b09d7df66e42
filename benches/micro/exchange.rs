//! A service that answers at once, and a call that reads its answer.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::Service;
use tower_relay::message::ResponseBody;

/// Answers at once, with what this makes.
#[derive(Clone)]
pub(crate) struct Answers(pub(crate) fn() -> Response<ResponseBody>);

impl<B> Service<Request<B>> for Answers {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        drop(black_box(request));
        ready(Ok(self.0()))
    }
}

/// Calls `service` and reads its answer; everything is ready, so one poll is enough.
pub(crate) fn call<S, B>(service: &mut S, request: Request<B>)
where
    S: Service<Request<B>, Response = Response<ResponseBody>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let _ = service.poll_ready(&mut cx);
    let mut future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
        panic!("an answer at once")
    };
    let mut body = pin!(response.into_body().collect());
    let Poll::Ready(Ok(body)) = body.as_mut().poll(&mut cx) else {
        panic!("a whole body at once")
    };
    black_box(body);
}

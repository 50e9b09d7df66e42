use std::{
    convert::Infallible,
    future::ready,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use tower_service::Service;

use super::{Status, StatusFuture};
use crate::{
    message::{ApiError, Media, ResponseBody},
    server::answer::{answered, only_get, or_error},
};

impl Status {
    fn answer<B>(&self, request: &Request<B>) -> Result<Response<ResponseBody>, ApiError> {
        self.admit(request)?;
        let body = match *request.method() {
            Method::HEAD => ResponseBody::empty(),
            _ => ResponseBody::from(self.json()).with_media(Media::Json),
        };
        Ok(answered(body, "application/json"))
    }

    /// Lets those pass who may read.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        only_get(request.method())?;
        self.access().read(request)
    }
}

impl<B> Service<Request<B>> for Status {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = StatusFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> StatusFuture {
        ready(Ok(or_error(self.answer(&request))))
    }
}

use std::{
    convert::Infallible,
    future::ready,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, header};
use tower_service::Service;

use super::{Status, StatusFuture};
use crate::{
    message::{ApiError, Dialect, Media, ResponseBody},
    server::json::only_get,
};

impl Status {
    fn answer<B>(&self, request: &Request<B>) -> Result<Response<ResponseBody>, ApiError> {
        only_get(request.method())?;
        self.access().read(request)?;
        let body = match *request.method() {
            Method::HEAD => ResponseBody::empty(),
            _ => ResponseBody::from(self.json()).with_media(Media::Json),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
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
        let answer = self.answer(&request);
        ready(Ok(
            answer.unwrap_or_else(|error| error.to_response(Dialect::OpenAi))
        ))
    }
}

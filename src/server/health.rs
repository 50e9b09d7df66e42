//! `/health`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use serde::Serialize;
use tower_service::Service;

use super::json::respond;
use crate::message::ResponseBody;

/// Answers `{"status":"ok"}` with 200: the process is alive and takes requests.
///
/// ```
/// use axum::Router;
/// use tower_relay::server::Health;
///
/// let app: Router = Router::new().route_service("/health", Health::new());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Health {
    _private: (),
}

impl Health {
    /// The service.
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

impl<B> Service<Request<B>> for Health {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(respond(StatusCode::OK, &Status { status: "ok" })))
    }
}

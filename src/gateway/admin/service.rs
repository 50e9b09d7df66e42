use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    message::{ApiError, BoxError, Dialect, ResponseBody},
    server::{
        Metrics,
        admin::{Access, Admin, AdminFuture, Changes},
        dashboard::Dashboard,
        status::{Refusals, Status, StatusStream},
    },
};

/// What operators of a gateway ask: `/dashboard`, `/status`, `/status/stream`, `/metrics` and `/admin`.
///
/// To nest in an application of one's own, or to [serve](super::super::Gateway::with_admin_listener) on a port of its own. Always ready.
#[derive(Clone)]
pub struct AdminService {
    pub(super) status: Status,
    pub(super) stream: StatusStream,
    pub(super) admin: Admin,
    pub(super) dashboard: Dashboard,
    pub(super) metrics: Metrics,
    pub(super) access: Access,
    pub(super) changes: Changes,
    pub(super) refusals: Refusals,
}

type Answer = Result<Response<ResponseBody>, Infallible>;

impl AdminService {
    /// What callers were refused.
    pub(in crate::gateway) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// How the gateway stands.
    pub fn status(&self) -> &Status {
        &self.status
    }
}

impl<B> Service<Request<B>> for AdminService
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = AdminServiceFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> AdminServiceFuture {
        let path = request.uri().path();
        let small = |future| Answering::Small { future };
        let answering = match path {
            "/" => small(ready(Ok(to_dashboard()))),
            "/dashboard" => small(self.dashboard.call(request)),
            "/metrics" => match self.access.read(&request) {
                Ok(()) => small(self.metrics.call(request)),
                Err(error) => small(ready(Ok(error.to_response(Dialect::OpenAi)))),
            },
            "/status" => small(self.status.call(request)),
            "/status/stream" => small(self.stream.call(request)),
            _ if path == "/admin" || path.starts_with("/admin/") => Answering::Admin {
                future: self.admin.call(request),
            },
            _ => small(ready(Ok(nothing()))),
        };
        AdminServiceFuture { answering }
    }
}

fn to_dashboard() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::FOUND;
    let location = HeaderValue::from_static("/dashboard");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn nothing() -> Response<ResponseBody> {
    let message = "there are /dashboard, /status, /status/stream, /metrics and /admin";
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        .with_code("not_found")
        .to_response(Dialect::OpenAi)
}

pin_project! {
    /// The future of [`AdminService`].
    pub struct AdminServiceFuture {
        #[pin]
        answering: Answering,
    }
}

pin_project! {
    #[project = Projection]
    enum Answering {
        /// What is there at once.
        Small { #[pin] future: Ready<Answer> },
        /// What is read or changed.
        Admin { #[pin] future: AdminFuture },
    }
}

impl Future for AdminServiceFuture {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.project().answering.project() {
            Projection::Small { future } => future.poll(cx),
            Projection::Admin { future } => future.poll(cx),
        }
    }
}

impl fmt::Debug for AdminServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServiceFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for AdminService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminService").finish_non_exhaustive()
    }
}

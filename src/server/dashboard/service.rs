use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use tower_service::Service;

use super::page::PAGE;
use crate::{
    message::{Dialect, ResponseBody},
    server::{admin::Access, answer::only_get},
};

/// Answers `GET /dashboard` with the page.
///
/// See the [module](super).
#[derive(Debug, Clone, Default)]
pub struct Dashboard {
    access: Access,
}

/// The future of [`Dashboard`].
pub type DashboardFuture = Ready<Result<Response<ResponseBody>, Infallible>>;

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CACHE_CONTROL, "no-cache"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

impl Dashboard {
    /// For the hosts that `access` answers for. It needs no token: the page itself shows nothing, what it shows it asks for.
    pub fn new(access: &Access) -> Self {
        Self {
            access: access.clone(),
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<ResponseBody> {
        let allowed = only_get(request.method()).and_then(|()| self.access.host(request));
        if let Err(error) = allowed {
            return error.to_response(Dialect::OpenAi);
        }
        let body = match *request.method() {
            Method::HEAD => ResponseBody::empty(),
            _ => ResponseBody::from(PAGE.html.clone()),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, PAGE.policy.clone());
        response
    }
}

impl<B> Service<Request<B>> for Dashboard {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = DashboardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> DashboardFuture {
        ready(Ok(self.answer(&request)))
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::{RateLimitFuture, admission::Asked, layer::Shared};
use crate::message::{ApiError, Endpoint, Reason, Rejection, RequestBody, ResponseBody};

/// The service of [`RateLimitLayer`](super::RateLimitLayer).
///
/// As ready as its inner service; where requests may wait always ready, and the inner service is readied after the wait.
#[derive(Debug, Clone)]
pub struct RateLimit<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> Service<Request<RequestBody>> for RateLimit<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = RateLimitFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.shared.may_wait() {
            Poll::Ready(Ok(()))
        } else {
            self.inner.poll_ready(cx)
        }
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let ask = match self.shared.ask(&request) {
            Ok(ask) => ask,
            Err(error) => return RateLimitFuture::refused(refusal(&request, &error)),
        };
        let may_wait = self.shared.may_wait();
        let Some(ask) = ask else {
            return if may_wait {
                RateLimitFuture::readying(self.inner.clone(), request, None)
            } else {
                RateLimitFuture::sent(self.inner.call(request), None)
            };
        };
        match self.shared.admit(&ask) {
            Asked::Decided(Ok(pass)) => {
                let pass = Some((pass, ask.needs_usage));
                if may_wait {
                    RateLimitFuture::readying(self.inner.clone(), request, pass)
                } else {
                    RateLimitFuture::send(&mut self.inner, request, pass)
                }
            }
            Asked::Decided(Err(denied)) => {
                RateLimitFuture::refused(self.shared.refuse(&ask, &denied))
            }
            Asked::Waits => {
                RateLimitFuture::waiting(self.inner.clone(), request, &self.shared, ask)
            }
        }
    }
}

fn refusal(request: &Request<RequestBody>, error: &ApiError) -> Response<ResponseBody> {
    let reason = match error.status() {
        StatusCode::UNAUTHORIZED => Reason::Unauthenticated,
        _ => Reason::InvalidRequest,
    };
    let dialect = Endpoint::of(request).dialect();
    Rejection::new("rate_limit", reason).into_response(error, dialect)
}

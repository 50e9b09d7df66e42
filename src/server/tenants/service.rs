use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Caller, Tenants, access};
use crate::message::{ApiError, Endpoint, OrRefused, Reason, Rejection, RequestBody, ResponseBody};

/// The service of [`AuthLayer`](super::AuthLayer).
#[derive(Debug, Clone)]
pub struct Auth<S> {
    inner: S,
    tenants: Tenants,
}

impl<S> Auth<S> {
    pub(super) fn new(inner: S, tenants: Tenants) -> Self {
        Self { inner, tenants }
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

impl<S> Service<Request<RequestBody>> for Auth<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = AuthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        // Whoever has read no more than the head yet may have asked already.
        let known = request.extensions().get::<Caller>().cloned();
        let caller = match known {
            Some(caller) => Ok(caller),
            None => self.tenants.authenticate(request.headers()),
        };
        let allowed = caller.and_then(|caller| {
            access::check(caller.tenant(), &request)?;
            Ok(caller)
        });
        match allowed {
            Ok(caller) => {
                if let Some(upstreams) = caller.tenant().allowed_upstreams().cloned() {
                    request.extensions_mut().insert(upstreams);
                }
                if let Some(models) = caller.tenant().allowed_models().cloned() {
                    request.extensions_mut().insert(models);
                }
                request.extensions_mut().insert(caller.identity().clone());
                request.extensions_mut().insert(caller);
                AuthFuture {
                    future: OrRefused::inner(self.inner.call(request)),
                }
            }
            Err(error) => AuthFuture {
                future: OrRefused::refused(refuse(Endpoint::of(&request), &error)),
            },
        }
    }
}

/// The answer to one who may not ask.
pub(crate) fn refuse(endpoint: Endpoint, error: &ApiError) -> Response<ResponseBody> {
    let reason = match error.status() {
        StatusCode::UNAUTHORIZED => Reason::Unauthenticated,
        StatusCode::BAD_REQUEST => Reason::InvalidRequest,
        _ => Reason::Forbidden,
    };
    Rejection::new("auth", reason).into_response(error, endpoint.dialect())
}

pin_project! {
    /// The future of [`Auth`].
    #[derive(Debug)]
    pub struct AuthFuture<F> {
        #[pin]
        future: OrRefused<F>,
    }
}

impl<F, E> Future for AuthFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

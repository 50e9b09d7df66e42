use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderName, Request, Response};
use tower_service::Service;

use super::{ShadowFuture, layer::Shared};
use crate::message::{RequestBody, ResponseBody};

/// The header that marks a copy, for its target's stack and its logs.
pub const X_RELAY_SHADOW: HeaderName = HeaderName::from_static("x-relay-shadow");

/// The service of [`ShadowLayer`](super::ShadowLayer).
#[derive(Debug, Clone)]
pub struct Shadow<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Shadow<S> {
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

impl<S> Service<Request<RequestBody>> for Shadow<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = ShadowFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let watch = self.shared.copy(&request);
        ShadowFuture::new(self.inner.call(request), watch)
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseNormalizeFuture, asked::Asked, layer::Shared};
use crate::message::{RequestBody, ResponseBody};

/// The service of [`ResponseNormalizeLayer`](super::ResponseNormalizeLayer).
#[derive(Debug, Clone)]
pub struct ResponseNormalize<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ResponseNormalize<S> {
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

impl<S> Service<Request<RequestBody>> for ResponseNormalize<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = ResponseNormalizeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let asked = Asked::of(&request);
        let shared = Arc::clone(&self.shared);
        ResponseNormalizeFuture::new(self.inner.call(request), asked, shared)
    }
}

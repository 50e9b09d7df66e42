use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{FeedbackFuture, layer::Shared};
use crate::message::{RequestBody, RequestId, ResponseBody};

/// The service of [`FeedbackLayer`](super::FeedbackLayer).
#[derive(Debug, Clone)]
pub struct FeedbackService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> FeedbackService<S> {
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

impl<S> Service<Request<RequestBody>> for FeedbackService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = FeedbackFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        if request.uri().path() == self.shared.path {
            return FeedbackFuture::taking(Arc::clone(&self.shared), request);
        }
        let given = || RequestId::from_headers(request.headers());
        let id = request.extensions().get().cloned().or_else(given);
        let asked = id.map(|id| {
            let caller = self.shared.caller(&request);
            self.shared.hash(&caller, id.as_str())
        });
        FeedbackFuture::passing(self.inner.call(request), Arc::clone(&self.shared), asked)
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{RetryFuture, again::Again, layer::Shared};
use crate::{
    message::{Deadline, Effects, Endpoint, KeptDeadline, RequestBody, ResponseBody},
    reserve::Original,
};

/// The service of [`RetryLayer`](super::RetryLayer).
#[derive(Debug, Clone)]
pub struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Retry<S> {
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

impl<S> Service<Request<RequestBody>> for Retry<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = RetryFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        self.shared.budget.deposit();
        let endpoint = Endpoint::of(&request);
        let outer = Deadline::of(request.extensions());
        let own = (outer.is_none() && Effects::is_known(&request))
            .then(|| Deadline::after(self.shared.deadline));
        let original = Original::keep(&mut request, self.shared.policy.attempts, own);
        let again = original.map(|original| Again {
            service: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            original,
        });
        let kept = KeptDeadline {
            layer: "retry",
            endpoint,
            deadline: own,
        };
        RetryFuture::new(self.inner.call(request), again, kept)
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{RetryFuture, again::Again, layer::Shared};
use crate::{
    message::{Deadline, Endpoint, KeptDeadline, RequestBody, ResponseBody, copy},
    reserve::AttemptLimit,
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
        let own = (outer.is_none() && endpoint != Endpoint::Other)
            .then(|| Deadline::after(self.shared.deadline));
        if let Some(own) = own {
            request.extensions_mut().insert(own);
        }
        // What can be sent once is not kept, and neither is a limit on doing it twice.
        let again = request.body().try_clone().map(|body| {
            let limit = request
                .extensions_mut()
                .get_or_insert_with(|| AttemptLimit::new(self.shared.policy.attempts))
                .clone();
            Again {
                service: self.inner.clone(),
                shared: Arc::clone(&self.shared),
                request: copy(&request, body),
                limit,
                deadline: outer.or(own),
            }
        });
        let kept = KeptDeadline {
            layer: "retry",
            endpoint,
            deadline: own,
        };
        RetryFuture::new(self.inner.call(request), again, kept)
    }
}

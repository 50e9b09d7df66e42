use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{Limits, TimeoutFuture, layer::Shared};
use crate::message::{Deadline, Endpoint, RequestBody, ResponseBody};

/// The service of [`TimeoutLayer`](super::TimeoutLayer).
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Timeout<S> {
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

impl<S> Service<Request<RequestBody>> for Timeout<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let endpoint = Endpoint::of(&request);
        let limits = self.shared.limits(endpoint, request.body());
        let outer = Deadline::of(request.extensions());
        let sooner = |own: Deadline| outer.map_or(own, |outer| outer.min(own));
        let total = limits
            .total_within()
            .map(|total| sooner(Deadline::after(total)));
        if let Some(total) = total {
            // What waits further in stays within it.
            request.extensions_mut().insert(total);
        }
        let head = limits
            .head_within()
            .map(|head| sooner(Deadline::after(head)));
        let head = match (head, total) {
            (Some(head), Some(total)) => Some(head.min(total)),
            (head, total) => head.or(total),
        };
        TimeoutFuture::new(self.inner.call(request), endpoint, head, total)
    }
}

impl Shared {
    fn limits(&self, endpoint: Endpoint, body: &RequestBody) -> Limits {
        // A request is not read for limits that do not depend on it.
        if self.models.is_empty() || !endpoint.reads_json() {
            return self.limits;
        }
        let own = body.model().and_then(|model| self.models.of(&model));
        own.unwrap_or(self.limits)
    }
}

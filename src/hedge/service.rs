use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

use super::{HedgeFuture, HedgeHandle, layer::Shared, race::Race};
use crate::{
    message::{Effects, Endpoint, RequestBody, ResponseBody},
    reserve::Original,
    stats::Latency,
};

/// The service of [`HedgeLayer`](super::HedgeLayer): a primary, and where to ask besides when it is slow.
#[derive(Debug, Clone)]
pub struct Hedge<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Hedge<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// What switches it on and off, and shows what it does.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(Arc::clone(&self.shared))
    }

    /// The primary.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The primary.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The primary.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> Service<Request<RequestBody>> for Hedge<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = HedgeFuture<S>;

    /// The primary's readiness: that of the others is waited for when they are needed.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let shared = &self.shared;
        let may_hedge = shared.is_enabled()
            && Endpoint::of(&request) != Endpoint::Models
            && Effects::of(&request) == Effects::Generate;
        if !may_hedge {
            return HedgeFuture::alone(self.inner.call(request), Arc::clone(shared));
        }
        shared.budget.deposit();
        let Some(original) = Original::keep(&mut request, shared.attempts, None) else {
            return HedgeFuture::alone(self.inner.call(request), Arc::clone(shared));
        };
        let latency = if request.body().is_streaming() {
            Latency::FirstToken
        } else {
            Latency::Total
        };
        let race = Race {
            shared: Arc::clone(shared),
            original,
            latency,
            began: Instant::now(),
        };
        let first = self.inner.call(request);
        HedgeFuture::race(Box::pin(race.run(first)))
    }
}

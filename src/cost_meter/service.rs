use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{CostMeterFuture, attempt::Attempt, layer::Shared};
use crate::message::{Endpoint, RequestBody, ResponseBody, require_usage};

/// The service of [`CostMeterLayer`](super::CostMeterLayer).
#[derive(Debug, Clone)]
pub struct CostMeter<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CostMeter<S> {
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

impl<S> Service<Request<RequestBody>> for CostMeter<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = CostMeterFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let endpoint = Endpoint::of(&request);
        if !is_metered(endpoint) {
            return CostMeterFuture::passed(self.inner.call(request));
        }
        // A body that is no JSON object is the upstream's to refuse.
        let hide = if self.shared.ask_usage {
            require_usage(&mut request).unwrap_or_default()
        } else {
            None
        };
        let mut attempt = Attempt::begin(&self.shared, &mut request, endpoint);
        let Some(ledger) = &self.shared.ledger else {
            return CostMeterFuture::begun(self.inner.call(request), attempt, hide);
        };
        if let Some(slot) = ledger.try_slot() {
            attempt.take_slot(slot);
            return CostMeterFuture::begun(self.inner.call(request), attempt, hide);
        }
        attempt.wait();
        let fresh = self.inner.clone();
        let ready = mem::replace(&mut self.inner, fresh);
        CostMeterFuture::waiting(ledger.slot(), ready, request, attempt, hide)
    }
}

/// Whether tokens are charged there, and read.
fn is_metered(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::Rerank
    )
}

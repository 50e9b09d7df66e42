use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

use super::{FallbackFuture, FallbackHandle, chain::Chain, layer::Shared};
use crate::{
    message::{Deadline, Effects, Endpoint, KeptDeadline, RequestBody, ResponseBody},
    reserve::Original,
};

/// The service of [`FallbackLayer`](super::FallbackLayer): a primary, and where to go when it fails.
#[derive(Debug, Clone)]
pub struct Fallback<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Fallback<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// What switches it on and off, and shows what it does.
    pub fn handle(&self) -> FallbackHandle {
        FallbackHandle::new(Arc::clone(&self.shared))
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

impl<S> Service<Request<RequestBody>> for Fallback<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = FallbackFuture<S>;

    /// The primary's readiness: that of the backups is waited for when they are needed.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let shared = &self.shared;
        if let Some(budget) = &shared.budget {
            budget.deposit();
        }
        let endpoint = Endpoint::of(&request);
        let outer = Deadline::of(request.extensions());
        let is_known = Effects::is_known(&request);
        let own = (outer.is_none() && is_known).then(|| Deadline::after(shared.deadline));
        let kept = KeptDeadline {
            layer: "fallback",
            endpoint,
            deadline: own,
        };
        if !is_known || !shared.is_enabled() {
            if let Some(own) = own {
                request.extensions_mut().insert(own);
            }
            return FallbackFuture::first(self.inner.call(request), None, kept);
        }
        let original = Original::keep(&mut request, shared.attempts, own);
        // Else the retries of the first target could use up all there are.
        let aside = |original: Original| Some((original.limit().set_aside()?, original));
        let Some((aside, original)) = original.and_then(aside) else {
            return FallbackFuture::first(self.inner.call(request), None, kept);
        };
        let start = shared.sticky.place(Instant::now);
        let start = if start > 0 && !may_begin_at(shared, start, endpoint, &request) {
            0
        } else {
            start
        };
        // Asked again only in these cases, and a clone may cost a box.
        let again = (start > 0 || shared.queue.is_on()).then(|| self.inner.clone());
        let chain = Chain {
            primary: again,
            shared: Arc::clone(shared),
            original,
            aside: Some(aside),
        };
        if start == 0 {
            FallbackFuture::first(self.inner.call(request), Some(chain), kept)
        } else {
            FallbackFuture::rest(chain, start, kept)
        }
    }
}

/// Whether a target that took over may be asked first.
fn may_begin_at(
    shared: &Shared,
    place: usize,
    endpoint: Endpoint,
    request: &Request<RequestBody>,
) -> bool {
    Effects::of(request) == Effects::Generate
        && shared
            .about(place)
            .is_some_and(|target| target.serves_endpoint(endpoint))
}

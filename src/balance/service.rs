use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

use super::{BalanceFuture, BalanceHandle, layer::Shared, load::Load, member::Kind};
use crate::{
    client::Picked,
    message::{Chosen, Effects, Endpoint, RequestBody, ResponseBody},
    reserve::AttemptLimit,
};

/// The service of [`BalanceLayer`](super::BalanceLayer): a baseline, and the members that share its load.
#[derive(Debug, Clone)]
pub struct Balance<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Balance<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// What shows the members, and takes one out and puts it back.
    pub fn handle(&self) -> BalanceHandle {
        BalanceHandle::new(Arc::clone(&self.shared))
    }

    /// The baseline.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The baseline.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The baseline.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> Service<Request<RequestBody>> for Balance<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = BalanceFuture<S>;

    /// Always ready: which member is asked is known with the request only, and one that is busy is not to hold up the others'.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let now = Instant::now();
        // What an upstream keeps, and what says nothing of how long others take, is the baseline's.
        let endpoint = Endpoint::of(&request);
        let generates = endpoint != Endpoint::Models && Effects::of(&request) == Effects::Generate;
        let (place, kind) = if generates {
            let kind = Kind::of(&request);
            (
                self.shared.choose(&request, endpoint, kind, now),
                Some(kind),
            )
        } else {
            (0, None)
        };
        let load = Load::new(Arc::clone(&self.shared), place, kind, now);
        let mut target = None;
        if let Some(member) = load.member() {
            tracing::Span::current().record("relay.upstream", &*member.name);
            target.clone_from(&member.target);
            if target.is_none() {
                let chosen = Chosen(Arc::clone(&member.name));
                request.extensions_mut().insert(chosen);
            }
            if let Some(limit) = AttemptLimit::of(request.extensions()) {
                limit.note_at(&member.name);
            }
        }
        let picked = match target {
            Some(target) if place > 0 => Picked::target(target, request),
            _ => Picked::own(self.inner.clone(), request),
        };
        BalanceFuture::new(picked, load)
    }
}

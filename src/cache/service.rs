use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{CacheFuture, ask::Ask, future::State, layer::Shared};
use crate::{
    message::{Endpoint, Reason, Rejection, RequestBody, ResponseBody, require_usage},
    reserve::Answer,
};

/// The service of [`CacheLayer`](super::CacheLayer).
#[derive(Debug, Clone)]
pub struct CacheService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CacheService<S> {
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

impl<S> Service<Request<RequestBody>> for CacheService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = CacheFuture<S>;

    /// Always ready: what is kept is there though the inner service is not, which is waited for when it is needed.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> CacheFuture<S> {
        let (key, directives) = match self.shared.ask(&request) {
            Ok(Some(ask)) => ask,
            Ok(None) => return CacheFuture::new(State::passed(self.inner.clone(), request)),
            Err(error) => {
                let dialect = Endpoint::of(&request).dialect();
                let rejection = Rejection::new("cache", Reason::Unauthenticated);
                let response = rejection.into_response(&error, dialect);
                return CacheFuture::new(State::answered(response));
            }
        };
        let any_form = self.shared.parts.crosses(Endpoint::of(&request));
        let hide = if any_form {
            // The body was read: it is one JSON object.
            require_usage(&mut request).ok().flatten()
        } else {
            None
        };
        let ask = Ask {
            is_stream: request.body().is_streaming(),
            any_form,
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            landed: self.shared.flights.landed(&key),
            key,
            directives,
            request,
        };
        let state = match self.shared.store.get(&ask.key) {
            Answer::Now(kept) => ask.decide(kept.flatten()),
            Answer::Later(kept) => State::looking(ask, kept),
        };
        CacheFuture::new(state).hiding(hide)
    }
}

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    SplitChoice, SplitReason, TrafficSplitFuture, TrafficSplitHandle, X_RELAY_UPSTREAM,
    layer::Shared, rollout::Track,
};
use crate::{
    client::Picked,
    message::{ApiError, Chosen, Endpoint, Reason, Rejection, RequestBody, ResponseBody},
};

/// The service of [`TrafficSplitLayer`](super::TrafficSplitLayer): a baseline, and the targets that it shares its requests with.
#[derive(Debug, Clone)]
pub struct TrafficSplit<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> TrafficSplit<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// What shows and changes the weights while requests flow.
    pub fn handle(&self) -> TrafficSplitHandle {
        TrafficSplitHandle::new(Arc::clone(&self.shared))
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

impl<S> Service<Request<RequestBody>> for TrafficSplit<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = TrafficSplitFuture<S>;

    /// Always ready: which target is asked is known with the request only, and a baseline that is busy is not to hold up the others'.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let shared = &self.shared;
        let asked = if shared.allow_override {
            request.headers_mut().remove(X_RELAY_UPSTREAM)
        } else {
            None
        };
        let (place, reason) = match asked {
            None => shared.choose(&request),
            Some(name) => match name.to_str().ok().and_then(|name| shared.place_of(name)) {
                Some(place) => (place, SplitReason::Asked),
                None => return TrafficSplitFuture::refused(self.unknown(&request)),
            },
        };
        // Always there: the choice is among the members.
        let Some(member) = shared.members.get(place) else {
            return TrafficSplitFuture::refused(self.unknown(&request));
        };
        member.count.fetch_add(1, Ordering::Relaxed);
        let span = tracing::Span::current();
        span.record("relay.split", &*member.name);
        span.record("relay.split.reason", reason.as_str());
        let outer = request.extensions_mut().remove::<SplitChoice>();
        let outer = outer.and_then(|outer| outer.track);
        let judge = match reason {
            SplitReason::Weight | SplitReason::Spread => shared.steering.rollout.load_full(),
            _ => None,
        };
        let track = match judge {
            Some(rollout) => Some(Arc::new(Track::new(place, rollout, outer))),
            None => outer,
        };
        let choice = SplitChoice {
            target: Arc::clone(&member.name),
            reason,
            track,
        };
        request.extensions_mut().insert(choice.clone());
        let picked = match &member.target {
            Some(target) if place > 0 => Picked::target(target.clone(), request),
            about => {
                if about.is_none() {
                    let chosen = Chosen(Arc::clone(&member.name));
                    request.extensions_mut().insert(chosen);
                }
                Picked::own(self.inner.clone(), request)
            }
        };
        TrafficSplitFuture::picked(picked, choice, Arc::clone(shared), place)
    }
}

impl<S> TrafficSplit<S> {
    fn unknown(&self, request: &Request<RequestBody>) -> Response<ResponseBody> {
        let names: Vec<_> = self
            .shared
            .members
            .iter()
            .map(|member| &*member.name)
            .collect();
        let message = format!("{X_RELAY_UPSTREAM} must be one of {}", names.join(", "));
        let error = ApiError::invalid_request(message).with_code("unknown_upstream");
        let dialect = Endpoint::of(request).dialect();
        Rejection::new("traffic_split", Reason::InvalidRequest).into_response(&error, dialect)
    }
}

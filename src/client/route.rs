//! Each request to the upstream that serves its model.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Target, TargetFuture, Upstreams};
use crate::message::{
    AllowedUpstreams, ApiError, Endpoint, Reason, Rejection, RequestBody, ResponseBody,
};

/// Sends each request to the first of [`Upstreams`] that names its model and serves its endpoint; else to the first that
/// serves the endpoint and names no models; else to the first that serves the endpoint.
///
/// Requests that name no model, or whose body is not read, go to the first that serves the endpoint: always the same, so
/// that what it keeps is found again. Where no upstream serves the endpoint the answer is 404 with the code
/// `endpoint_not_served`: which endpoints a key may be used for is not the caller's to choose. Of a request that may only be sent to
/// some upstreams ([`AllowedUpstreams`]) the others do not know; where only such ones name its model, it is 404
/// `model_not_found`.
#[derive(Debug, Clone)]
pub struct ModelRoute {
    upstreams: Upstreams,
}

impl ModelRoute {
    /// Chooses from `upstreams`.
    pub fn new(upstreams: Upstreams) -> Self {
        Self { upstreams }
    }

    /// What `request` would be given to.
    #[cfg(feature = "gateway")]
    pub(crate) fn target_of(&self, request: &Request<RequestBody>) -> Option<&Target> {
        self.choose(request).ok()
    }

    /// Whether a request such as this one would be served if it were for `model`.
    #[cfg(feature = "gateway")]
    pub(crate) fn serves(&self, model: &str, request: &Request<RequestBody>) -> bool {
        self.target_for(Endpoint::of(request), Some(model), request)
            .is_ok()
    }

    fn choose(&self, request: &Request<RequestBody>) -> Result<&Target, Unserved> {
        let endpoint = Endpoint::of(request);
        let model = if endpoint.reads_json() {
            request.body().model()
        } else {
            None
        };
        self.target_for(endpoint, model.as_deref(), request)
    }

    fn target_for(
        &self,
        endpoint: Endpoint,
        model: Option<&str>,
        request: &Request<RequestBody>,
    ) -> Result<&Target, Unserved> {
        let allowed = request.extensions().get::<AllowedUpstreams>();
        let all = || {
            let targets = self.upstreams.iter();
            targets.filter(move |target| target.serves_endpoint(endpoint))
        };
        let serving =
            || all().filter(move |target| allowed.is_none_or(|allowed| target.is_allowed(allowed)));
        let names =
            |target: &&Target, model: &str| target.names_models() && target.serves_model(model);
        if let Some(model) = model {
            let named = serving()
                .find(|target| names(target, model))
                .or_else(|| serving().find(|target| !target.names_models()));
            if let Some(target) = named {
                return Ok(target);
            }
            // To send it to another that does not serve it would only hide why.
            if allowed.is_some() && all().any(|target| names(&target, model)) {
                return Err(Unserved::Model);
            }
        }
        serving().next().ok_or(Unserved::Endpoint)
    }
}

impl Service<Request<RequestBody>> for ModelRoute {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ModelRouteFuture;

    /// Always ready: which target is asked is known with the request only.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> ModelRouteFuture {
        let state = match self.choose(&request).cloned() {
            Ok(target) => State::Ready {
                target,
                request: Some(request),
            },
            Err(unserved) => State::Refused {
                response: Some(Box::new(not_served(&request, unserved))),
            },
        };
        ModelRouteFuture { state }
    }
}

/// What no upstream serves that may be asked.
#[derive(Debug, Clone, Copy)]
enum Unserved {
    Endpoint,
    Model,
}

fn not_served(request: &Request<RequestBody>, unserved: Unserved) -> Response<ResponseBody> {
    let endpoint = Endpoint::of(request);
    if let (Unserved::Model, Some(model)) = (unserved, request.body().model()) {
        let error = ApiError::model_not_found(&model);
        return Rejection::new("model_route", Reason::ModelNotFound)
            .into_response(&error, endpoint.dialect());
    }
    let error = ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        format!(
            "no upstream serves {} {}",
            request.method(),
            request.uri().path()
        ),
    )
    .with_code("endpoint_not_served");
    Rejection::new("model_route", Reason::InvalidRequest).into_response(&error, endpoint.dialect())
}

pin_project! {
    /// The future of [`ModelRoute`].
    pub struct ModelRouteFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        // Boxed: a response is large, and this is the rare case.
        Refused { response: Option<Box<Response<ResponseBody>>> },
        Ready { target: Target, request: Option<Request<RequestBody>> },
        Call { #[pin] future: TargetFuture },
    }
}

impl Future for ModelRouteFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // A future that has answered is never polled again: what was taken then is not missed.
                StateProjection::Refused { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(*response)));
                }
                StateProjection::Ready { target, request } => {
                    let Ok(()) = ready!(target.poll_ready(cx));
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let future = target.call(request);
                    this.state.set(State::Call { future });
                }
                StateProjection::Call { future } => return future.poll(cx),
            }
        }
    }
}

impl std::fmt::Debug for ModelRouteFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelRouteFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

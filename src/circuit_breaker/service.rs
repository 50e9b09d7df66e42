use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use tower_service::Service;

use super::{CircuitBreakerFuture, layer::Shared};
use crate::message::{ApiError, Endpoint, Reason, Rejection, RequestBody, ResponseBody};

/// The service of [`CircuitBreakerLayer`](super::CircuitBreakerLayer).
#[derive(Debug, Clone)]
pub struct CircuitBreaker<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CircuitBreaker<S> {
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

impl<S> Service<Request<RequestBody>> for CircuitBreaker<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = CircuitBreakerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let circuit = match self.shared.circuit_of(&request) {
            Ok(Some(circuit)) => circuit,
            Ok(None) => return CircuitBreakerFuture::exempt(self.inner.call(request)),
            Err(error) => {
                let reason = match error.status() {
                    StatusCode::UNAUTHORIZED => Reason::Unauthenticated,
                    _ => Reason::InvalidRequest,
                };
                return CircuitBreakerFuture::refused(refusal(&request, reason, &error));
            }
        };
        match circuit.admit(Instant::now) {
            Ok(guard) => {
                let limit = self.shared.policy.slow_first_token;
                let first_token_by = (!limit.is_zero()).then(|| Instant::now() + limit);
                CircuitBreakerFuture::admitted(self.inner.call(request), guard, first_token_by)
            }
            Err(wait) => {
                let refused = refusal(&request, Reason::CircuitOpen, &circuit_open(wait));
                CircuitBreakerFuture::refused(refused)
            }
        }
    }
}

fn refusal(
    request: &Request<RequestBody>,
    reason: Reason,
    error: &ApiError,
) -> Response<ResponseBody> {
    let dialect = Endpoint::of(request).dialect();
    Rejection::new("circuit_breaker", reason).into_response(error, dialect)
}

fn circuit_open(wait: Duration) -> ApiError {
    let message = "the upstream has been failing and is left alone for a while";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
        .with_code("circuit_open")
        .with_retry_after(wait)
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    AdmissionFuture, Priority, PriorityBy,
    gate::{Asked, Shed},
    layer::Shared,
};
use crate::message::{
    ApiError, Deadline, Dialect, Endpoint, Reason, Rejection, RequestBody, ResponseBody,
};

/// The service of [`AdmissionLayer`](super::AdmissionLayer).
///
/// Always ready: the inner service is readied after the wait.
#[derive(Debug, Clone)]
pub struct Admission<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Admission<S> {
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

impl<S> Service<Request<RequestBody>> for Admission<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = AdmissionFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let key = match self.shared.by.key_of(&request) {
            Ok(Some(key)) => key,
            Ok(None) => return AdmissionFuture::readying(self.inner.clone(), request, None),
            Err(error) => return AdmissionFuture::refused(unattributed(&request, &error)),
        };
        let by = self.shared.priority.as_ref();
        let priority = by.map_or(Priority::NORMAL, |by: &PriorityBy| by.priority_of(&request));
        let until = || {
            let own = Instant::now() + self.shared.max_wait;
            let deadline = Deadline::of(request.extensions()).map(Deadline::instant);
            deadline.map_or(own, |deadline| deadline.min(own))
        };
        match self.shared.gates.of(&key).ask(priority, until) {
            Asked::Admitted(permit) => {
                AdmissionFuture::readying(self.inner.clone(), request, Some(permit))
            }
            Asked::Waits(waiting) => {
                let shared = Arc::clone(&self.shared);
                AdmissionFuture::waiting(self.inner.clone(), request, waiting, shared)
            }
            Asked::Shed(shed) => {
                let dialect = Endpoint::of(&request).dialect();
                AdmissionFuture::refused(self.shared.refuse(shed, dialect))
            }
        }
    }
}

impl Shared {
    pub(super) fn refuse(&self, shed: Shed, dialect: Dialect) -> Response<ResponseBody> {
        let message = match shed {
            Shed::Full => "too many requests are in flight, and too many wait: try again later",
            Shed::Displaced => {
                "too many requests are in flight, and one of a higher priority took the place of this: try again later"
            }
            Shed::Late => {
                "too many requests are in flight: this one waited for its turn for too long"
            }
        };
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
            .with_code("relay_overloaded")
            .with_retry_after(self.retry_after);
        Rejection::new("admission", Reason::Overloaded).into_response(&error, dialect)
    }
}

fn unattributed(request: &Request<RequestBody>, error: &ApiError) -> Response<ResponseBody> {
    let reason = match error.status() {
        StatusCode::UNAUTHORIZED => Reason::Unauthenticated,
        _ => Reason::InvalidRequest,
    };
    let dialect = Endpoint::of(request).dialect();
    Rejection::new("admission", reason).into_response(error, dialect)
}

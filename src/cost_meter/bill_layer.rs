//! One bill for all attempts of a request.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::message::{Bill, RequestBody};

/// Keeps one [`Bill`] for each request that passes: it stands above whatever sends a request more than once, so that the meters
/// below write into the same one.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct BillLayer;

/// The service of [`BillLayer`].
#[derive(Debug, Clone)]
pub struct Billed<S> {
    inner: S,
}

impl BillLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for BillLayer {
    type Service = Billed<S>;

    fn layer(&self, inner: S) -> Billed<S> {
        Billed { inner }
    }
}

impl<S> Billed<S> {
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

impl<S> Service<Request<RequestBody>> for Billed<S>
where
    S: Service<Request<RequestBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> S::Future {
        let _ = Bill::of(request.extensions_mut());
        self.inner.call(request)
    }
}

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{EdgeFuture, collect::Collect, layer::Shared};
use crate::message::{BoxError, Deadline, RequestBody, RequestId, ResponseBody, is_readable_json};

/// The service of [`EdgeLayer`](super::EdgeLayer).
#[derive(Debug, Clone)]
pub struct Edge<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Edge<S> {
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

impl<S> Edge<S> {
    /// Answers `request`, as [`Service::call`] does: an edge is always ready, so a shared one is enough. A server that calls its service
    /// by reference needs no clone of the stack for it.
    pub fn handle<B>(&self, mut request: Request<B>) -> EdgeFuture<S, B>
    where
        S: Service<Request<RequestBody>> + Clone,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let endpoint = self.shared.endpoint(&mut request);
        let inner = self.inner.clone();
        if !self.shared.guards(endpoint) {
            return EdgeFuture::pass(inner, endpoint, request.map(RequestBody::new));
        }

        let id = RequestId::from_headers(request.headers()).unwrap_or_else(RequestId::generate);
        let deadline = Deadline::after(self.shared.deadline());
        let deadline =
            Deadline::of(request.extensions()).map_or(deadline, |outer| outer.min(deadline));
        request.extensions_mut().insert(id.clone());
        request.extensions_mut().insert(deadline);

        if endpoint.reads_json() && is_readable_json(request.headers()) {
            let (parts, body) = request.into_parts();
            let collect = Collect::new(
                body,
                self.shared.max_body(endpoint),
                &self.shared.held,
                self.shared.body_timeout(),
            );
            EdgeFuture::collect(
                inner,
                endpoint,
                id,
                deadline,
                Request::from_parts(parts, ()),
                collect,
            )
        } else {
            EdgeFuture::guard(inner, endpoint, id, deadline, request.map(RequestBody::new))
        }
    }
}

impl<S, B, C> Service<Request<B>> for Edge<S>
where
    S: Service<Request<RequestBody>, Response = Response<C>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    C: Body<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = EdgeFuture<S, B>;

    /// Always ready: the inner service is asked once the body is there, so that a slow caller keeps nothing of it
    /// waiting.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> EdgeFuture<S, B> {
        self.handle(request)
    }
}

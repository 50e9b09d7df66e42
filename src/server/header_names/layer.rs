use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::HeaderNames;

/// Gives the headers of this crate other names: see [`HeaderNames`]. It stands outside of all layers, as the edge has a header of its own too.
#[derive(Debug, Clone, Default)]
pub struct HeaderNamesLayer(HeaderNames);

impl HeaderNamesLayer {
    /// With these names.
    pub fn new(names: HeaderNames) -> Self {
        Self(names)
    }
}

impl<S> Layer<S> for HeaderNamesLayer {
    type Service = Renamed<S>;

    fn layer(&self, inner: S) -> Renamed<S> {
        Renamed {
            inner,
            names: self.0.clone(),
        }
    }
}

/// The service of [`HeaderNamesLayer`].
#[derive(Debug, Clone)]
pub struct Renamed<S> {
    inner: S,
    names: HeaderNames,
}

impl<S> Renamed<S> {
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

impl<S, B, C> Service<Request<B>> for Renamed<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = RenamedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.names.read(request.headers_mut());
        RenamedFuture {
            began: self.names.clock(),
            future: self.inner.call(request),
            names: self.names.clone(),
        }
    }
}

pin_project! {
    /// The future of [`Renamed`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct RenamedFuture<F> {
        #[pin]
        future: F,
        names: HeaderNames,
        began: Option<Instant>,
    }
}

impl<F, C, E> Future for RenamedFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        Poll::Ready(Ok(this.names.renamed(response, *this.began)))
    }
}

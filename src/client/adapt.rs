//! Any HTTP client as the innermost service of a stack.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::message::{BoxError, RequestBody, ResponseBody};

/// Fits a service over bodies of its own into a stack: one line for the request's body, none for the answer's.
///
/// Each call of the adapter is one call of the inner service, errors pass as they are, and dropping its future drops the
/// inner one.
///
/// ```
/// use axum::{Router, body::Body, routing::post};
/// use tower_relay::{client::AdaptLayer, server::EdgeLayer};
///
/// // An application's own handlers get their `axum::body::Body` back.
/// let app: Router = Router::new()
///     .route("/v1/chat/completions", post(|body: String| async { body }))
///     .layer((EdgeLayer::default(), AdaptLayer::new(Body::new)));
/// ```
#[derive(Clone, Copy)]
pub struct AdaptLayer<F> {
    body: F,
}

/// The service of [`AdaptLayer`].
#[derive(Clone, Copy)]
pub struct Adapt<S, F> {
    inner: S,
    body: F,
}

impl<F> AdaptLayer<F> {
    /// Makes the inner service's request body by `body`, which is given every kind of body, streams included:
    /// most body types have a constructor that takes any [`http_body::Body`].
    pub fn new<B>(body: F) -> Self
    where
        F: Fn(RequestBody) -> B,
    {
        Self { body }
    }
}

impl<S, F: Clone> Layer<S> for AdaptLayer<F> {
    type Service = Adapt<S, F>;

    fn layer(&self, inner: S) -> Adapt<S, F> {
        Adapt {
            inner,
            body: self.body.clone(),
        }
    }
}

impl<S, F> Adapt<S, F> {
    /// Wraps `inner`, as [`AdaptLayer::new`] does.
    pub fn new<B>(inner: S, body: F) -> Self
    where
        F: Fn(RequestBody) -> B,
    {
        Self { inner, body }
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

impl<S, F, B, C> Service<Request<RequestBody>> for Adapt<S, F>
where
    S: Service<Request<B>, Response = Response<C>>,
    F: Fn(RequestBody) -> B,
    C: Body<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = AdaptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        AdaptFuture {
            future: self.inner.call(request.map(&self.body)),
        }
    }
}

pin_project! {
    /// The future of [`Adapt`].
    #[derive(Debug)]
    pub struct AdaptFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F, C, E> Future for AdaptFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
    C: Body<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().future.poll(cx)).map(ResponseBody::wrap))
    }
}

impl<F> fmt::Debug for AdaptLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Adapt<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapt")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

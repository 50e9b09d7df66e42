//! A client whose request body is made from bytes alone.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::message::{
    ApiError, BoxError, Endpoint, Gather, Reason, Rejection, RequestBody, ResponseBody,
};

/// Fits a client into a stack whose request body is made from [`Bytes`] and nothing else: one's own, a blocking one behind a
/// thread, one of a test.
///
/// What layers hold is handed over as it is. A stream is collected first, up to a cap (16 MiB by default; over it 413).
///
/// ```
/// use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower::{Layer, Service, ServiceExt};
/// use tower_relay::{client::AdaptBytesLayer, message::RequestBody};
///
/// /// A hand-written client.
/// #[derive(Clone)]
/// struct Mine;
///
/// impl Service<Request<Bytes>> for Mine {
///     type Response = Response<String>;
///     type Error = Infallible;
///     type Future = Ready<Result<Response<String>, Infallible>>;
///
///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn call(&mut self, request: Request<Bytes>) -> Self::Future {
///         ready(Ok(Response::new(format!("{} bytes", request.body().len()))))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = AdaptBytesLayer::new().layer(Mine);
/// let response = client.oneshot(Request::new(RequestBody::json("{}"))).await?;
/// assert!(response.status().is_success());
/// # Ok(())
/// # }
/// ```
pub struct AdaptBytesLayer<B> {
    max: usize,
    body: PhantomData<fn() -> B>,
}

/// The service of [`AdaptBytesLayer`].
pub struct AdaptBytes<S, B> {
    inner: S,
    max: usize,
    body: PhantomData<fn() -> B>,
}

impl<B> AdaptBytesLayer<B> {
    /// Collects streams of up to 16 MiB.
    pub fn new() -> Self {
        Self {
            max: 16 << 20,
            body: PhantomData,
        }
    }

    /// The longest stream that is collected, in bytes.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }
}

impl<B> Default for AdaptBytesLayer<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Clone for AdaptBytesLayer<B> {
    /// By hand: a derive would ask `B` to be `Clone`.
    fn clone(&self) -> Self {
        Self {
            max: self.max,
            body: PhantomData,
        }
    }
}

impl<S: Clone, B> Clone for AdaptBytes<S, B> {
    /// By hand: a derive would ask `B` to be `Clone`.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            max: self.max,
            body: PhantomData,
        }
    }
}

impl<S, B> Layer<S> for AdaptBytesLayer<B> {
    type Service = AdaptBytes<S, B>;

    fn layer(&self, inner: S) -> AdaptBytes<S, B> {
        AdaptBytes {
            inner,
            max: self.max,
            body: PhantomData,
        }
    }
}

impl<S, B> AdaptBytes<S, B> {
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

impl<S, B, C> Service<Request<RequestBody>> for AdaptBytes<S, B>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    B: From<Bytes>,
    C: Body<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = AdaptBytesFuture<S, B>;

    /// Always ready: collecting a stream may take a while, and the client is asked after it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let endpoint = Endpoint::of(&request);
        let collect = Collect {
            request: Some(request),
            gathered: Gather::default(),
            max: self.max,
        };
        AdaptBytesFuture {
            state: State::Collect { collect },
            inner: self.inner.clone(),
            endpoint,
        }
    }
}

struct Collect {
    request: Option<Request<RequestBody>>,
    gathered: Gather,
    max: usize,
}

enum Refused {
    TooLarge,
    Broken,
}

impl Collect {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Refused>> {
        let Some(request) = &mut self.request else {
            return Poll::Pending;
        };
        if let Some(held) = request.body().as_bytes() {
            return Poll::Ready(Ok(held.clone()));
        }
        while let Some(frame) = ready!(Pin::new(request.body_mut()).poll_frame(cx)) {
            let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else {
                continue;
            };
            if self.gathered.len() + data.len() > self.max {
                return Poll::Ready(Err(Refused::TooLarge));
            }
            self.gathered.push(data, 0);
        }
        Poll::Ready(Ok(self.gathered.take()))
    }
}

impl Refused {
    fn into_response(self, max: usize, endpoint: Endpoint) -> Response<ResponseBody> {
        let (reason, error) = match self {
            Self::TooLarge => (
                Reason::BodyTooLarge,
                ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "invalid_request_error",
                    format!(
                        "the request's body is larger than the {max} bytes that this client takes"
                    ),
                )
                .with_code("request_too_large"),
            ),
            Self::Broken => (
                Reason::InvalidRequest,
                ApiError::invalid_request("the request's body broke off before its end"),
            ),
        };
        Rejection::new("adapt", reason).into_response(&error, endpoint.dialect())
    }
}

pin_project! {
    /// The future of [`AdaptBytes`].
    pub struct AdaptBytesFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, B>,
        inner: S,
        endpoint: Endpoint,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Collect { collect: Collect },
        Ready { request: Option<Request<B>> },
        Call { #[pin] future: F },
    }
}

impl<S, B, C> Future for AdaptBytesFuture<S, B>
where
    S: Service<Request<B>, Response = Response<C>>,
    B: From<Bytes>,
    C: Body<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            // A future that has answered is never polled again: what was taken then is not missed.
            match this.state.as_mut().project() {
                StateProjection::Collect { collect } => match ready!(collect.poll(cx)) {
                    Ok(bytes) => {
                        let request = collect.request.take();
                        let request = request.map(|request| request.map(|_| B::from(bytes)));
                        this.state.set(State::Ready { request });
                    }
                    Err(refused) => {
                        return Poll::Ready(Ok(refused.into_response(collect.max, *this.endpoint)));
                    }
                },
                StateProjection::Ready { request } => {
                    ready!(this.inner.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let future = this.inner.call(request);
                    this.state.set(State::Call { future });
                }
                StateProjection::Call { future } => {
                    return Poll::Ready(ready!(future.poll(cx)).map(ResponseBody::wrap));
                }
            }
        }
    }
}

impl<B> fmt::Debug for AdaptBytesLayer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptBytesLayer")
            .field("max", &self.max)
            .finish()
    }
}

impl<S: fmt::Debug, B> fmt::Debug for AdaptBytes<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptBytes")
            .field("inner", &self.inner)
            .field("max", &self.max)
            .finish()
    }
}

impl<S, B> fmt::Debug for AdaptBytesFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptBytesFuture")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

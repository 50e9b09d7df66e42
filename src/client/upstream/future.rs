use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::service::Attempt;
use crate::message::{BoxError, RequestBody, ResponseBody, TransportError};

pin_project! {
    /// The future of [`Upstream`](super::Upstream).
    pub struct UpstreamFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S, S::Future>,
        attempt: Option<Attempt>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        Refused { response: Option<Response<ResponseBody>> },
        Find {
            find: Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>,
            inner: Option<S>,
            request: Option<Request<RequestBody>>,
        },
        Ready { inner: S, request: Option<Request<RequestBody>> },
        Call { #[pin] future: F },
    }
}

impl<S> UpstreamFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
            attempt: None,
        }
    }

    pub(super) fn find(
        inner: S,
        attempt: Attempt,
        find: Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>,
        request: Request<RequestBody>,
    ) -> Self {
        let state = State::Find {
            find,
            inner: Some(inner),
            request: Some(request),
        };
        Self {
            state,
            attempt: Some(attempt),
        }
    }

    pub(super) fn send(inner: S, attempt: Attempt, request: Request<RequestBody>) -> Self {
        Self {
            state: State::Ready {
                inner,
                request: Some(request),
            },
            attempt: Some(attempt),
        }
    }
}

impl<S, B> Future for UpstreamFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Taken at the end only: a future that has answered is never polled again.
        let Some(attempt) = this.attempt.as_ref() else {
            let StateProjection::Refused { response } = this.state.project() else {
                return Poll::Pending;
            };
            return response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
        };
        let answer = loop {
            match this.state.as_mut().project() {
                StateProjection::Refused { .. } => return Poll::Pending,
                StateProjection::Find {
                    find,
                    inner,
                    request,
                } => {
                    let found = ready!(find.as_mut().poll(cx));
                    let (Some(inner), Some(mut request)) = (inner.take(), request.take()) else {
                        return Poll::Pending;
                    };
                    if let Err(response) = attempt.authenticate(&mut request, None, Some(found)) {
                        return Poll::Ready(Ok(*response));
                    }
                    this.state.set(State::Ready {
                        inner,
                        request: Some(request),
                    });
                }
                StateProjection::Ready { inner, request } => {
                    if let Err(error) = ready!(inner.poll_ready(cx)) {
                        break Err(TransportError::new(error));
                    }
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let future = inner.call(request);
                    this.state.set(State::Call { future });
                }
                StateProjection::Call { future } => {
                    break ready!(future.poll(cx)).map_err(TransportError::new);
                }
            }
        };
        let response = match answer {
            Ok(response) => ResponseBody::wrap(response),
            Err(error) => error.into_response(
                &format!("the upstream \"{}\"", attempt.upstream()),
                attempt.dialect(),
            ),
        };
        let Some(attempt) = this.attempt.take() else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(attempt.finish(response)))
    }
}

impl<S> fmt::Debug for UpstreamFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamFuture")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

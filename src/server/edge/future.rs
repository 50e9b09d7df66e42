use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::collect::Collect;
use crate::{
    message::{
        ApiError, BoxError, Deadline, Endpoint, Phase, Reason, Rejection, RequestBody, RequestId,
        ResponseBody, TransportError, X_RELAY_REQUEST_ID,
    },
    timer::Timer,
};

pin_project! {
    /// The future of [`Edge`](super::Edge).
    pub struct EdgeFuture<S, B>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S::Future, B>,
        inner: S,
        endpoint: Endpoint,
        guard: Option<Guard>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Collect { head: Option<Request<()>>, #[pin] body: Collect<B> },
        Ready { request: Option<Request<RequestBody>> },
        Call { #[pin] future: F },
    }
}

/// What is kept of a request that has an id and a deadline.
struct Guard {
    id: RequestId,
    deadline: Deadline,
    /// Made when first waited for, then handed on to the body.
    timer: Option<Timer>,
}

impl<S, B> EdgeFuture<S, B>
where
    S: Service<Request<RequestBody>>,
{
    /// For a route that is not looked at.
    pub(super) fn pass(inner: S, endpoint: Endpoint, request: Request<RequestBody>) -> Self {
        Self {
            state: State::Ready {
                request: Some(request),
            },
            inner,
            endpoint,
            guard: None,
        }
    }

    /// For a request whose body is not read.
    pub(super) fn guard(
        inner: S,
        endpoint: Endpoint,
        id: RequestId,
        deadline: Deadline,
        request: Request<RequestBody>,
    ) -> Self {
        let guard = Some(Guard {
            id,
            deadline,
            timer: None,
        });
        Self {
            state: State::Ready {
                request: Some(request),
            },
            inner,
            endpoint,
            guard,
        }
    }

    /// For a request whose body is collected first.
    pub(super) fn collect(
        inner: S,
        endpoint: Endpoint,
        id: RequestId,
        deadline: Deadline,
        head: Request<()>,
        body: Collect<B>,
    ) -> Self {
        let guard = Some(Guard {
            id,
            deadline,
            timer: None,
        });
        Self {
            state: State::Collect {
                head: Some(head),
                body,
            },
            inner,
            endpoint,
            guard,
        }
    }
}

impl<S, B, C> Future for EdgeFuture<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<C>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Body<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = loop {
            match this.state.as_mut().project() {
                StateProjection::Collect { head, body } => match body.poll(cx) {
                    Poll::Pending => break Poll::Pending,
                    Poll::Ready(Err(refused)) => {
                        let rejection = Rejection::new("edge", refused.reason);
                        break Poll::Ready(
                            rejection.into_response(&refused.error, this.endpoint.dialect()),
                        );
                    }
                    // The request is large: it is moved once, to whom it is for.
                    Poll::Ready(Ok(body)) => match this.inner.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {
                            let Some(head) = head.take() else {
                                return Poll::Pending;
                            };
                            let future = this.inner.call(with_body(head, body));
                            this.state.set(State::Call { future });
                        }
                        Poll::Ready(Err(error)) => {
                            break Poll::Ready(failed(error, *this.endpoint));
                        }
                        Poll::Pending => {
                            let request = head.take().map(|head| with_body(head, body));
                            this.state.set(State::Ready { request });
                            break Poll::Pending;
                        }
                    },
                },
                StateProjection::Ready { request } => match this.inner.poll_ready(cx) {
                    Poll::Pending => break Poll::Pending,
                    Poll::Ready(Err(error)) => break Poll::Ready(failed(error, *this.endpoint)),
                    Poll::Ready(Ok(())) => {
                        // A future that has answered is never polled again: there is a request.
                        let Some(request) = request.take() else {
                            return Poll::Pending;
                        };
                        let future = this.inner.call(request);
                        this.state.set(State::Call { future });
                    }
                },
                StateProjection::Call { future } => match future.poll(cx) {
                    Poll::Pending => break Poll::Pending,
                    Poll::Ready(Err(error)) => break Poll::Ready(failed(error, *this.endpoint)),
                    Poll::Ready(Ok(response)) => break Poll::Ready(ResponseBody::wrap(response)),
                },
            }
        };
        let Some(guard) = this.guard else {
            return polled.map(Ok);
        };
        let mut response = match polled {
            Poll::Ready(response) => response,
            Poll::Pending => {
                ready!(guard.timer().poll(cx));
                Guard::late(*this.endpoint)
            }
        };
        guard.finish(&mut response);
        Poll::Ready(Ok(response))
    }
}

impl Guard {
    fn timer(&mut self) -> &mut Timer {
        let deadline = self.deadline.instant();
        self.timer.get_or_insert_with(|| Timer::until(deadline))
    }

    fn late(endpoint: Endpoint) -> Response<ResponseBody> {
        let message = "the request's deadline passed before an answer came";
        let error = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message)
            .with_code("deadline_exceeded");
        Rejection::new("edge", Reason::Timeout(Phase::Head))
            .into_response(&error, endpoint.dialect())
    }

    fn finish(&mut self, response: &mut Response<ResponseBody>) {
        let headers = response.headers_mut();
        headers.insert(X_RELAY_REQUEST_ID, self.id.to_header());
        response.body_mut().expire(self.deadline, self.timer.take());
    }
}

/// The request with its collected body, whose length is now known.
fn with_body(head: Request<()>, body: RequestBody) -> Request<RequestBody> {
    let mut request = head.map(|()| body);
    let headers = request.headers();
    if headers
        .keys()
        .any(|name| *name == header::TRANSFER_ENCODING)
    {
        let length = request.body().as_bytes().map_or(0, Bytes::len);
        let headers = request.headers_mut();
        headers.remove(header::TRANSFER_ENCODING);
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    request
}

fn failed(error: impl Into<BoxError>, endpoint: Endpoint) -> Response<ResponseBody> {
    TransportError::new(error).into_response("the service behind the relay", endpoint.dialect())
}

impl<S, B> fmt::Debug for EdgeFuture<S, B>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeFuture")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

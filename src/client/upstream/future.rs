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
use crate::{
    client::credential::{Key, KeyFuture},
    message::{BoxError, RequestBody, ResponseBody, TransportError, legible, may_be_illegible},
};

pin_project! {
    /// The future of [`Upstream`](super::Upstream).
    pub struct UpstreamFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        Refused { response: Option<Box<Response<ResponseBody>>> },
        Find { find: KeyFuture, late: Option<Box<Late<S>>> },
        Ready { late: Option<Box<Late<S>>> },
        Call { #[pin] future: F, attempt: Option<Attempt> },
        // Boxed: only of errors.
        Read { error: Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>> },
    }
}

/// What waits for its credential. Boxed: it is large, and the usual credential is there at once.
struct Late<S> {
    inner: S,
    request: Request<RequestBody>,
    attempt: Attempt,
}

impl<S> UpstreamFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            state: State::Refused {
                response: Some(Box::new(response)),
            },
        }
    }

    pub(super) fn find(
        inner: S,
        attempt: Attempt,
        find: KeyFuture,
        request: Request<RequestBody>,
    ) -> Self {
        Self {
            state: State::Find {
                find,
                late: Some(Box::new(Late {
                    inner,
                    request,
                    attempt,
                })),
            },
        }
    }

    pub(super) fn call(future: S::Future, attempt: Attempt) -> Self {
        Self {
            state: State::Call {
                future,
                attempt: Some(attempt),
            },
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
        loop {
            // A future that has answered is never polled again: what was taken then is not missed.
            match this.state.as_mut().project() {
                StateProjection::Refused { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(*response)));
                }
                StateProjection::Find { find, late } => {
                    let found = ready!(find.as_mut().poll(cx));
                    let Some(mut late) = late.take() else {
                        return Poll::Pending;
                    };
                    if let Err(response) =
                        late.attempt
                            .authenticate(&mut late.request, None, Some(found))
                    {
                        return Poll::Ready(Ok(*response));
                    }
                    this.state.set(State::Ready { late: Some(late) });
                }
                StateProjection::Ready { late: waiting } => {
                    let Some(late) = waiting else {
                        return Poll::Pending;
                    };
                    let ready = ready!(late.inner.poll_ready(cx));
                    let Some(late) = waiting.take() else {
                        return Poll::Pending;
                    };
                    let Late {
                        mut inner,
                        request,
                        attempt,
                    } = *late;
                    if let Err(error) = ready {
                        let mut response = attempt.unreachable(TransportError::new(error));
                        attempt.finish(&mut response);
                        return Poll::Ready(Ok(response));
                    }
                    let future = inner.call(request);
                    let attempt = Some(attempt);
                    this.state.set(State::Call { future, attempt });
                }
                StateProjection::Call { future, attempt } => {
                    let answered = ready!(future.poll(cx));
                    let Some(attempt) = attempt.take() else {
                        return Poll::Pending;
                    };
                    let mut response = match answered {
                        Ok(response) => ResponseBody::wrap(response),
                        Err(error) => attempt.unreachable(TransportError::new(error)),
                    };
                    let status = response.status();
                    let is_error = status.is_client_error() || status.is_server_error();
                    let key = is_error.then(|| attempt.own_key()).flatten();
                    let dialect = attempt.dialect_to_read();
                    attempt.finish(&mut response);
                    if (dialect.is_none() && key.is_none()) || !may_be_illegible(&response) {
                        return Poll::Ready(Ok(response));
                    }
                    let error = Box::pin(async move {
                        let secret = key.as_ref().map(Key::as_bytes);
                        legible(response, dialect, secret).await
                    });
                    this.state.set(State::Read { error });
                }
                StateProjection::Read { error } => {
                    return error.as_mut().poll(cx).map(Ok);
                }
            }
        }
    }
}

impl<S> fmt::Debug for UpstreamFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamFuture").finish_non_exhaustive()
    }
}

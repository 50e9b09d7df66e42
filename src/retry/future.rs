use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::again::Again;
use crate::{
    message::{
        ApiError, Deadline, Endpoint, Outcome, Phase, Reason, Rejection, RequestBody, ResponseBody,
    },
    timer::Timer,
};

pin_project! {
    /// The future of [`Retry`](super::Retry).
    pub struct RetryFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S::Future, S::Error>,
        again: Option<Again<S>>,
        endpoint: Endpoint,
        // Where this layer set it, and so has to keep it.
        deadline: Option<Deadline>,
        timer: Option<Timer>,
    }
}

type Rest<E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, E>> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<F, E> {
        First { #[pin] future: F },
        // The one box of a request, and only of one that failed.
        Rest { future: Rest<E> },
    }
}

impl<S> RetryFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn new(
        future: S::Future,
        again: Option<Again<S>>,
        endpoint: Endpoint,
        deadline: Option<Deadline>,
    ) -> Self {
        Self {
            state: State::First { future },
            again,
            endpoint,
            deadline,
            timer: None,
        }
    }
}

impl<S> Future for RetryFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = loop {
            match this.state.as_mut().project() {
                StateProjection::First { future } => match future.poll(cx) {
                    Poll::Ready(Ok(response)) if !succeeded(&response) => {
                        let Some(again) = this.again.take() else {
                            break Poll::Ready(Ok(response));
                        };
                        let future = Box::pin(again.run(response));
                        this.state.set(State::Rest { future });
                    }
                    polled => break polled,
                },
                StateProjection::Rest { future } => break future.as_mut().poll(cx),
            }
        };
        let Some(deadline) = *this.deadline else {
            return polled;
        };
        let response = match polled {
            Poll::Ready(response) => response?,
            Poll::Pending => {
                let until = deadline.instant();
                ready!(
                    this.timer
                        .get_or_insert_with(|| Timer::until(until))
                        .poll(cx)
                );
                return Poll::Ready(Ok(late(*this.endpoint)));
            }
        };
        let timer = this.timer.take();
        Poll::Ready(Ok(response.map(|body| body.expire(deadline, timer))))
    }
}

fn succeeded(response: &Response<ResponseBody>) -> bool {
    Outcome::of_head(response) == Some(Outcome::Success)
}

fn late(endpoint: Endpoint) -> Response<ResponseBody> {
    let message = "the request's deadline passed before any attempt was answered";
    let error = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message)
        .with_code("deadline_exceeded");
    Rejection::new("retry", Reason::Timeout(Phase::Head)).into_response(&error, endpoint.dialect())
}

impl<S> fmt::Debug for RetryFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("endpoint", &self.endpoint)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

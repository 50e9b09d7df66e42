use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use crate::{
    message::{
        ApiError, Deadline, Endpoint, Outcome, Phase, Reason, Rejection, ResponseBody, give_up,
    },
    timer::Timer,
};

pin_project! {
    /// The future of [`Timeout`](super::Timeout).
    #[derive(Debug)]
    pub struct TimeoutFuture<F> {
        // Let go of at the deadline, so that the attempt does not go on until its caller has read the answer.
        #[pin]
        future: Option<F>,
        endpoint: Endpoint,
        head: Option<Deadline>,
        total: Option<Deadline>,
        timer: Option<Timer>,
    }
}

impl<F> TimeoutFuture<F> {
    pub(super) fn new(
        future: F,
        endpoint: Endpoint,
        head: Option<Deadline>,
        total: Option<Deadline>,
    ) -> Self {
        Self {
            future: Some(future),
            endpoint,
            head,
            total,
            timer: None,
        }
    }
}

impl<F, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        // A future that has answered is never polled again.
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        if let Poll::Ready(mut answered) = future.poll(cx) {
            let timer = this.timer.take().filter(|_| this.head == this.total);
            if let (Ok(response), Some(total)) = (&mut answered, *this.total) {
                response.body_mut().expire(total, timer);
            }
            return Poll::Ready(answered);
        }
        let Some(head) = *this.head else {
            return Poll::Pending;
        };
        let timer = this
            .timer
            .get_or_insert_with(|| Timer::until(head.instant()));
        ready!(timer.poll(cx));
        let outcome = Outcome::Timeout { phase: Phase::Head };
        give_up(outcome, || this.future.set(None));
        Poll::Ready(Ok(late(*this.endpoint)))
    }
}

fn late(endpoint: Endpoint) -> Response<ResponseBody> {
    let message = "the upstream did not begin to answer in time (phase: response head)";
    let error = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message)
        .with_code("upstream_timeout");
    Rejection::new("timeout", Reason::Timeout(Phase::Head))
        .into_response(&error, endpoint.dialect())
}

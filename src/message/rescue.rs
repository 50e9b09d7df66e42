//! The future of a layer that does something about a first attempt that failed.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use super::{ApiError, Deadline, Endpoint, Outcome, Phase, Reason, Rejection, ResponseBody};
use crate::timer::Timer;

/// What becomes of a request after its first attempt: boxed, once for the request.
pub(crate) type Rest<E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, E>> + Send>>;

/// What is done once the first attempt has failed.
pub(crate) trait Rescue<E> {
    /// Takes the answer of an attempt that is not a success, as far as its head goes.
    fn rescue(self, failed: Response<ResponseBody>) -> Rest<E>;
}

/// How long a request may take whose layer has to keep its deadline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptDeadline {
    /// The layer, by the name of its module.
    pub(crate) layer: &'static str,
    pub(crate) endpoint: Endpoint,
    /// Where this layer set it, and so has to keep it.
    pub(crate) deadline: Option<Deadline>,
}

pin_project! {
    /// A first attempt, and a rescue where it fails.
    pub(crate) struct Rescued<F, R, E> {
        #[pin]
        state: State<F, E>,
        rescue: Option<R>,
        kept: KeptDeadline,
        timer: Option<Timer>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, E> {
        First { #[pin] future: F },
        Rest { future: Rest<E> },
    }
}

impl<F, R, E> Rescued<F, R, E> {
    /// Makes the attempt; without a `rescue` it is the only one.
    pub(crate) fn first(future: F, rescue: Option<R>, kept: KeptDeadline) -> Self {
        Self::new(State::First { future }, rescue, kept)
    }

    /// All that is left of a request, where its first attempt is no other than the rest.
    pub(crate) fn rest(future: Rest<E>, kept: KeptDeadline) -> Self {
        Self::new(State::Rest { future }, None, kept)
    }

    fn new(state: State<F, E>, rescue: Option<R>, kept: KeptDeadline) -> Self {
        Self {
            state,
            rescue,
            kept,
            timer: None,
        }
    }
}

impl<F, R, E> Future for Rescued<F, R, E>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
    R: Rescue<E>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let mut polled = match this.state.as_mut().project() {
            StateProjection::First { future } => future.poll(cx),
            StateProjection::Rest { future } => future.as_mut().poll(cx),
        };
        // There is a rescue for the first attempt only.
        let rescue = this.rescue.take_if(|_| has_failed(&polled));
        if let (Some(rescue), Poll::Ready(Ok(failed))) = (rescue, &mut polled) {
            let failed = std::mem::take(failed);
            let mut future = rescue.rescue(failed);
            polled = future.as_mut().poll(cx);
            this.state.set(State::Rest { future });
        }
        let Some(deadline) = this.kept.deadline else {
            return polled;
        };
        let Poll::Ready(mut answered) = polled else {
            let until = deadline.instant();
            let timer = this.timer.get_or_insert_with(|| Timer::until(until));
            ready!(timer.poll(cx));
            return Poll::Ready(Ok(late(*this.kept)));
        };
        if let Ok(response) = &mut answered {
            response.body_mut().expire(deadline, this.timer.take());
        }
        Poll::Ready(answered)
    }
}

fn has_failed<E>(polled: &Poll<Result<Response<ResponseBody>, E>>) -> bool {
    matches!(polled, Poll::Ready(Ok(response)) if Outcome::of_head(response) != Some(Outcome::Success))
}

fn late(kept: KeptDeadline) -> Response<ResponseBody> {
    let message = "the request's deadline passed before it was answered";
    let error = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message)
        .with_code("deadline_exceeded");
    Rejection::new(kept.layer, Reason::Timeout(Phase::Head))
        .into_response(&error, kept.endpoint.dialect())
}

impl<F, R, E> fmt::Debug for Rescued<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescued")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

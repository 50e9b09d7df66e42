use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::circuit::Guard;
use crate::message::{
    Completion, Media, OrRefused, Outcome, Phase, ResponseBody, Verdict, classify_with,
};

pin_project! {
    /// The future of [`CircuitBreaker`](super::CircuitBreaker).
    pub struct CircuitBreakerFuture<F> {
        #[pin]
        future: OrRefused<F>,
        // Dropped with the future, at whichever point that is, unless it was settled or went on with the body.
        guard: Option<Guard>,
        first_token_by: Option<Instant>,
        reading: Option<Reading>,
    }
}

/// An error whose body is being read.
type Reading = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

impl<F> CircuitBreakerFuture<F> {
    pub(super) fn admitted(future: F, guard: Guard, first_token_by: Option<Instant>) -> Self {
        Self {
            guard: Some(guard),
            first_token_by,
            ..Self::of(OrRefused::inner(future))
        }
    }

    pub(super) fn exempt(future: F) -> Self {
        Self::of(OrRefused::inner(future))
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self::of(OrRefused::refused(response))
    }

    fn of(future: OrRefused<F>) -> Self {
        Self {
            future,
            guard: None,
            first_token_by: None,
            reading: None,
        }
    }
}

impl<F, E> Future for CircuitBreakerFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.reading.is_none() {
            let mut answered = ready!(this.future.poll(cx));
            let Some(guard) = this.guard.take() else {
                return Poll::Ready(answered);
            };
            let head = match &answered {
                Ok(response) => Outcome::of_head(response),
                // What a client could not do, in an error of its own.
                Err(_) => Some(Outcome::Transport { phase: Phase::Head }),
            };
            if let Some(outcome) = head {
                match &mut answered {
                    Ok(response) if outcome == Outcome::Success => {
                        judge(response.body_mut(), guard, *this.first_token_by);
                    }
                    _ => guard.settle(outcome, Instant::now()),
                }
                return Poll::Ready(answered);
            }
            let response = answered?;
            let ours = guard.opinion();
            *this.guard = Some(guard);
            let reading = async move { classify_with(response, &ours).await };
            *this.reading = Some(Box::pin(reading));
        }
        let Some(reading) = this.reading else {
            return Poll::Pending;
        };
        let response = ready!(reading.as_mut().poll(cx));
        if let (Some(guard), Some(outcome)) = (this.guard.take(), Outcome::of(&response)) {
            guard.settle(outcome, Instant::now());
        }
        Poll::Ready(Ok(response))
    }
}

/// Lets the end of `body` decide.
fn judge(body: &mut ResponseBody, guard: Guard, first_token_by: Option<Instant>) {
    let first_token_by = match body.media() {
        Media::EventStream | Media::JsonLines => first_token_by,
        _ => None,
    };
    body.call_at_end(move |completion| {
        let outcome = Outcome::of_completion(completion, Outcome::Success);
        let outcome = match first_token_by {
            Some(by) if is_slow(completion, by) && outcome.verdict() == Verdict::Success => {
                Outcome::Timeout { phase: Phase::Body }
            }
            _ => outcome,
        };
        guard.settle(outcome, completion.ended_at);
    });
}

fn is_slow(completion: &Completion, first_token_by: Instant) -> bool {
    completion
        .first_token_at
        .is_some_and(|at| at > first_token_by)
}

impl<F: fmt::Debug> fmt::Debug for CircuitBreakerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerFuture")
            .field("future", &self.future)
            .field("guard", &self.guard)
            .field("reading", &self.reading.is_some())
            .finish_non_exhaustive()
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Track,
    view::{Answer, Sample},
};
use crate::{
    message::{
        Bill, Chosen, Completion, Outcome, Phase, RequestBody, ResponseBody, catalog::Cost,
        classify,
    },
    traffic_split::SplitChoice,
};

/// Tells rollouts how each attempt at an upstream ended. It stands in each upstream's own stack, below its retries and above
/// its circuit breaker; it changes nothing.
///
/// One layer serves all rollouts: a request says whom to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct RolloutObserverLayer;

/// The service of [`RolloutObserverLayer`].
#[derive(Debug, Clone)]
pub struct RolloutObserver<S> {
    inner: S,
}

impl RolloutObserverLayer {
    /// One.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for RolloutObserverLayer {
    type Service = RolloutObserver<S>;

    fn layer(&self, inner: S) -> RolloutObserver<S> {
        RolloutObserver { inner }
    }
}

impl<S> RolloutObserver<S> {
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

impl<S> Service<Request<RequestBody>> for RolloutObserver<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = RolloutObserverFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let choice = request.extensions().get::<SplitChoice>();
        let attempt = choice.and_then(|choice| choice.track.clone()).map(|track| {
            let bill = track
                .wants_cost()
                .then(|| Bill::of(request.extensions_mut()));
            Attempt {
                upstream: request.extensions().get::<Chosen>().cloned(),
                started: Instant::now(),
                bill: bill.map(|bill| (bill.cost(), bill)),
                track,
            }
        });
        RolloutObserverFuture {
            future: self.inner.call(request),
            attempt,
            reading: None,
        }
    }
}

/// An attempt whose end is awaited. Dropped before that it says nothing.
struct Attempt {
    track: Arc<Track>,
    upstream: Option<Chosen>,
    started: Instant,
    /// What the request had cost before.
    bill: Option<(Cost, Bill)>,
}

impl Attempt {
    /// The attempt has ended without an answer, or with an error.
    fn failed(self, outcome: Outcome) {
        self.settle(outcome, None);
    }

    fn settle(self, outcome: Outcome, completion: Option<&Completion>) {
        let Some(result) = answer(outcome) else {
            return;
        };
        let whole = completion.filter(|_| result == Answer::Good);
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let sample = Sample {
            result,
            latency: whole.map(|completion| since(completion.ended_at)),
            first_token: whole
                .and_then(|completion| completion.first_token_at)
                .map(since),
            cost: whole.and(self.bill.as_ref()).and_then(|(before, bill)| {
                // A meter further in has written its line by now; where there is none, nothing is known.
                (bill.attempts() > 0).then(|| bill.cost().saturating_sub(*before))
            }),
        };
        let upstream = self.upstream.as_ref().map(Chosen::as_str);
        self.track.record(upstream, &sample);
    }
}

/// What an outcome says about the upstream; `None` where it says nothing.
fn answer(outcome: Outcome) -> Option<Answer> {
    match outcome {
        Outcome::Success => Some(Answer::Good),
        // What callers do not get from this upstream, they do not get, whosever fault it is.
        Outcome::RateLimited { .. }
        | Outcome::QuotaExhausted
        | Outcome::Overloaded { .. }
        | Outcome::ServerError
        | Outcome::Timeout { .. }
        | Outcome::Transport { .. }
        | Outcome::ModelNotFound
        | Outcome::UpstreamAuth => Some(Answer::Failed),
        Outcome::InvalidRequest | Outcome::ContextTooLong | Outcome::ContentFiltered => {
            Some(Answer::Rejected)
        }
        Outcome::Cancelled | Outcome::Refused(_) => None,
    }
}

/// An error whose body is being read.
type Reading = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

pin_project! {
    /// The future of [`RolloutObserver`].
    pub struct RolloutObserverFuture<F> {
        #[pin]
        future: F,
        attempt: Option<Attempt>,
        reading: Option<Reading>,
    }
}

impl<F, E> Future for RolloutObserverFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.reading.is_none() {
            let result = ready!(this.future.poll(cx));
            let Some(attempt) = this.attempt.take() else {
                return Poll::Ready(result);
            };
            let response = match result {
                Ok(response) => response,
                Err(error) => {
                    attempt.failed(Outcome::Transport { phase: Phase::Head });
                    return Poll::Ready(Err(error));
                }
            };
            match Outcome::of_head(&response) {
                Some(Outcome::Success) => {
                    return Poll::Ready(Ok(response.map(|body| judge(body, attempt))));
                }
                Some(outcome) => {
                    attempt.failed(outcome);
                    return Poll::Ready(Ok(response));
                }
                None => {
                    *this.attempt = Some(attempt);
                    *this.reading = Some(Box::pin(classify(response)));
                }
            }
        }
        let Some(reading) = this.reading else {
            return Poll::Pending;
        };
        let response = ready!(reading.as_mut().poll(cx));
        if let (Some(attempt), Some(outcome)) = (this.attempt.take(), Outcome::of(&response)) {
            attempt.failed(outcome);
        }
        Poll::Ready(Ok(response))
    }
}

/// Lets the end of `body` decide.
fn judge(body: ResponseBody, attempt: Attempt) -> ResponseBody {
    body.on_end(move |completion| {
        let outcome = Outcome::of_completion(completion, Outcome::Success);
        attempt.settle(outcome, Some(completion));
    })
}

impl<F> fmt::Debug for RolloutObserverFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RolloutObserverFuture")
            .field("observed", &self.attempt.is_some())
            .finish_non_exhaustive()
    }
}

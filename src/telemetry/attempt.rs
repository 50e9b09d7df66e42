//! What came of each attempt at an upstream.

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
use tracing::Span;

use super::{
    conventions::attribute,
    layer::Shared,
    propagation,
    span::{self, put},
};
use crate::{
    message::{
        Chosen, Completion, Endpoint, Media, Outcome, Phase, RequestBody, ResponseBody, Served,
        Verdict,
    },
    stats::{self, Sample},
    wire::trace_context::TraceContext,
};

/// Observes each attempt at an upstream: its span, its share of the [statistics](crate::stats::Stats), its metrics, and the `traceparent`
/// that the upstream is sent. It stands in each upstream's own stack, below its retries and above its circuit breaker; it changes nothing else.
///
/// Made by [`TelemetryLayer::attempts`](super::TelemetryLayer::attempts).
#[derive(Debug, Clone)]
pub struct AttemptObserverLayer {
    shared: Arc<Shared>,
}

/// The service of [`AttemptObserverLayer`].
#[derive(Debug, Clone)]
pub struct AttemptObserver<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl AttemptObserverLayer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<S> Layer<S> for AttemptObserverLayer {
    type Service = AttemptObserver<S>;

    fn layer(&self, inner: S) -> AttemptObserver<S> {
        AttemptObserver {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> AttemptObserver<S> {
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

impl<S> Service<Request<RequestBody>> for AttemptObserver<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = AttemptObserverFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let attempt = Attempt::begin(&self.shared, &mut request);
        let future = attempt.span.in_scope(|| self.inner.call(request));
        AttemptObserverFuture {
            future,
            attempt: Some(attempt),
        }
    }
}

/// An attempt whose end is awaited. Dropped before that, its caller left.
struct Attempt {
    shared: Arc<Shared>,
    span: Span,
    started: Instant,
    chosen: Option<Chosen>,
    /// The label of the model that is asked for, where the request was read.
    model: Option<Arc<str>>,
    head: Option<Head>,
    is_settled: bool,
}

struct Head {
    at: Instant,
    outcome: Outcome,
    served: Option<Served>,
    is_stream: bool,
}

impl Attempt {
    fn begin(shared: &Arc<Shared>, request: &mut Request<RequestBody>) -> Self {
        let chosen = request.extensions().get::<Chosen>().cloned();
        let body = request.body();
        let is_read = body.is_indexed() && Endpoint::of(request).reads_json();
        let model = if is_read { body.model() } else { None };
        let span = if shared.spans {
            span::attempt(chosen.as_ref().map(Chosen::as_str), model.as_deref())
        } else {
            Span::none()
        };
        let model = model.map(|model| shared.labels.model(&model));
        if let Some(parent) = request.extensions().get::<TraceContext>().copied() {
            let context = propagation::of_span(&span, Some(parent));
            propagation::put(request.headers_mut(), context);
        }
        Self {
            shared: Arc::clone(shared),
            span,
            started: Instant::now(),
            chosen,
            model,
            head: None,
            is_settled: false,
        }
    }

    fn answered(mut self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let extensions = response.extensions();
        let head = Head {
            at: Instant::now(),
            outcome: Outcome::of_unread(&response),
            served: extensions.get().cloned(),
            is_stream: matches!(
                response.body().media(),
                Media::EventStream | Media::JsonLines
            ),
        };
        if !self.span.is_disabled() {
            put(&self.span, attribute::STATUS, response.status().as_u16());
            if let Some(served) = &head.served {
                put(&self.span, attribute::UPSTREAM, &*served.upstream);
                span::server(&self.span, served);
            }
        }
        // The body of an error is often left unread, and its head has said all.
        let is_success = head.outcome == Outcome::Success;
        let outcome = head.outcome;
        self.head = Some(head);
        if !is_success {
            self.settle(outcome, None);
            return response;
        }
        response.map(|body| {
            body.on_end(move |completion| {
                let outcome = Outcome::of_completion(completion, Outcome::Success);
                self.settle(outcome, Some(completion));
            })
        })
    }

    fn settle(&mut self, outcome: Outcome, completion: Option<&Completion>) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let now = completion.map_or_else(Instant::now, |completion| completion.ended_at);
        if !self.span.is_disabled() {
            put(&self.span, attribute::OUTCOME, outcome.as_str());
            if outcome != Outcome::Success {
                put(&self.span, attribute::ERROR, outcome.as_str());
                put(&self.span, attribute::OTEL_STATUS, "ERROR");
            }
        }
        if let Some((upstream, model)) = self.whose() {
            self.count(now, &upstream, &model, outcome, completion);
            #[cfg(feature = "metrics")]
            {
                let took = now.saturating_duration_since(self.started);
                self.shared
                    .instruments
                    .attempt(upstream, model, outcome, took);
            }
        }
        self.span = Span::none();
    }

    /// The upstream and the label of the model; `None` where it is not known who was asked.
    fn whose(&self) -> Option<(Arc<str>, Arc<str>)> {
        let labels = &self.shared.labels;
        let served = self.head.as_ref().and_then(|head| head.served.as_ref());
        let chosen = self.chosen.as_ref().map(|chosen| &chosen.0);
        let upstream = served.map(|served| &served.upstream).or(chosen)?;
        let asked = served.and_then(|served| served.model.as_deref());
        let model = asked.map(|model| labels.model(model));
        let model = model.or_else(|| self.model.clone());
        let model = model.unwrap_or_else(|| Arc::clone(labels.none()));
        Some((Arc::clone(upstream), model))
    }

    fn count(
        &self,
        now: Instant,
        upstream: &str,
        model: &str,
        outcome: Outcome,
        completion: Option<&Completion>,
    ) {
        let series = self.shared.stats.series(upstream, model, now);
        let verdict = match outcome.verdict() {
            Verdict::Success => stats::Verdict::Success,
            Verdict::Failure | Verdict::Exhausted => stats::Verdict::Failure,
            Verdict::RateLimited => stats::Verdict::RateLimited,
            Verdict::Blameless | Verdict::Neutral => stats::Verdict::Neutral,
        };
        if matches!(outcome, Outcome::Refused(_)) {
            series.reject();
            return;
        }
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let head = self.head.as_ref().filter(|_| outcome == Outcome::Success);
        let first_token = completion.and_then(|completion| completion.first_token_at);
        let sample = Sample {
            verdict,
            head: head.map(|head| since(head.at)),
            first_token: head
                .and(first_token)
                .filter(|_| {
                    let head = self.head.as_ref();
                    head.is_some_and(|head| head.is_stream)
                })
                .map(since),
            total: head.map(|_| since(now)),
        };
        series.record_sample(now, &sample);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle(Outcome::Cancelled, None);
    }
}

pin_project! {
    /// The future of [`AttemptObserver`].
    pub struct AttemptObserverFuture<F> {
        #[pin]
        future: F,
        // Gone once it has been handed to the answer.
        attempt: Option<Attempt>,
    }
}

impl<F, E> Future for AttemptObserverFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answered = match this.attempt {
            Some(attempt) => {
                let _entered = attempt.span.enter();
                ready!(this.future.poll(cx))
            }
            None => ready!(this.future.poll(cx)),
        };
        let Some(mut attempt) = this.attempt.take() else {
            return Poll::Ready(answered);
        };
        Poll::Ready(match answered {
            Ok(response) => Ok(attempt.answered(response)),
            Err(error) => {
                attempt.settle(Outcome::Transport { phase: Phase::Head }, None);
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for AttemptObserverFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptObserverFuture")
            .field("settled", &self.attempt.is_none())
            .finish_non_exhaustive()
    }
}

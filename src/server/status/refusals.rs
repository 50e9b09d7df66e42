//! What was refused of late, and why.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use serde::Serialize;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    message::{Rejection, X_RELAY_REQUEST_ID},
    wire::{clock, rfc3339},
};

/// The refusals that callers were answered with: how many of which kind, and the last few of them. Clones share them.
///
/// As a layer it stands outermost, above the edge, and notes what passes it; it looks at heads alone.
#[derive(Debug, Clone)]
pub struct Refusals {
    noted: Arc<Mutex<Noted>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Noted {
    /// By layer and reason, both of which are the crate's own: there are only so many.
    counts: BTreeMap<(&'static str, &'static str), u64>,
    recent: VecDeque<Refusal>,
}

/// One refusal.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When it was.
    pub at: String,
    /// Who refused, by the name of its module.
    pub layer: &'static str,
    /// Why.
    pub reason: &'static str,
    /// The answer's status.
    pub status: u16,
    /// How long the caller was asked to wait.
    pub retry_after_seconds: Option<u64>,
    /// Who had asked, where that is known: a tenant's key by its name.
    pub caller: Option<Box<str>>,
    /// The request's id, as the answer has it.
    pub request_id: Option<Box<str>>,
}

/// How often something was refused since the start.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalCount {
    /// Who refused.
    pub layer: &'static str,
    /// Why.
    pub reason: &'static str,
    /// How often.
    pub count: u64,
}

/// What [`Refusals`] holds at one moment.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RefusalsReport {
    /// How often since the start, by layer and reason.
    pub counts: Vec<RefusalCount>,
    /// The last ones, the latest first.
    pub recent: Vec<Refusal>,
}

impl Refusals {
    /// Keeps the last `most` refusals, some 200 bytes each.
    pub fn new(most: usize) -> Self {
        Self {
            noted: Arc::default(),
            most,
        }
    }

    /// Notes `response`, if it is a refusal; `caller` is who had asked.
    pub fn note<B>(&self, response: &Response<B>, caller: Option<&dyn ToString>) {
        let Some(rejection) = response.extensions().get::<Rejection>() else {
            return;
        };
        let reason = rejection.reason.as_str();
        let id = response.headers().get(X_RELAY_REQUEST_ID);
        let refusal = Refusal {
            at: rfc3339::format(clock::now()),
            layer: rejection.layer,
            reason,
            status: response.status().as_u16(),
            // As the answer's header has it: rounded up.
            retry_after_seconds: rejection
                .retry_after
                .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            caller: caller.map(|caller| caller.to_string().into()),
            request_id: id.and_then(|id| id.to_str().ok()).map(Into::into),
        };
        let mut noted = self.lock();
        *noted.counts.entry((rejection.layer, reason)).or_default() += 1;
        noted.recent.push_front(refusal);
        noted.recent.truncate(self.most);
    }

    /// What is known now.
    pub fn report(&self) -> RefusalsReport {
        let noted = self.lock();
        let counts = noted.counts.iter();
        let counts = counts.map(|((layer, reason), count)| RefusalCount {
            layer,
            reason,
            count: *count,
        });
        RefusalsReport {
            counts: counts.collect(),
            recent: noted.recent.iter().cloned().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        // Each change is whole before anything can panic.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Refusals {
    /// The last 50.
    fn default() -> Self {
        Self::new(50)
    }
}

impl<S> Layer<S> for Refusals {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting {
            inner,
            refusals: self.clone(),
        }
    }
}

/// The service of [`Refusals`].
#[derive(Debug, Clone)]
pub struct Noting<S> {
    inner: S,
    refusals: Refusals,
}

impl<S> Noting<S> {
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

impl<S, B, C> Service<Request<B>> for Noting<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = NotedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        NotedFuture {
            future: self.inner.call(request),
            refusals: self.refusals.clone(),
        }
    }
}

pin_project! {
    /// The future of [`Noting`].
    #[derive(Debug)]
    pub struct NotedFuture<F> {
        #[pin]
        future: F,
        refusals: Refusals,
    }
}

impl<F, C, E> Future for NotedFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        this.refusals.note(&response, None);
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        message::{ApiError, Dialect, Reason, RequestBody},
        testing::answering,
    };

    #[tokio::test]
    async fn refusals_are_counted_by_reason_and_the_last_are_kept() {
        let refusals = Refusals::new(2);
        let service = refusals.layer(answering(|request: Request<RequestBody>| {
            let (layer, reason) = match request.uri().path() {
                "/limit" => ("rate_limit", Reason::RateLimited),
                "/open" => ("circuit_breaker", Reason::CircuitOpen),
                _ => return Response::default(),
            };
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "x", "x")
                .with_retry_after(std::time::Duration::from_millis(1500));
            Rejection::new(layer, reason).into_response(&error, Dialect::OpenAi)
        }));
        for path in ["/limit", "/ok", "/open", "/limit"] {
            let request = Request::get(path).body(RequestBody::empty()).unwrap();
            service.clone().oneshot(request).await.unwrap();
        }
        let report = refusals.report();
        let counts: Vec<_> = report
            .counts
            .iter()
            .map(|one| (one.reason, one.count))
            .collect();
        assert_eq!(counts, [("circuit_open", 1), ("rate_limited", 2)]);
        let recent: Vec<_> = report.recent.iter().map(|one| one.reason).collect();
        assert_eq!(recent, ["rate_limited", "circuit_open"]);
        assert_eq!(report.recent[0].retry_after_seconds, Some(2));
    }
}

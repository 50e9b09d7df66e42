//! `/health`.

use std::{
    convert::Infallible,
    future::{Ready as Now, ready},
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use serde::Serialize;
use tokio::time::Instant;
use tower_service::Service;

use super::answer::respond;
use crate::{message::ResponseBody, stats::Stats};

/// Answers `{"status":"ok"}` with 200: the process is alive and takes requests.
///
/// ```
/// use axum::Router;
/// use tower_relay::server::Health;
///
/// let app: Router = Router::new().route_service("/health", Health::new());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Health {
    _private: (),
}

impl Health {
    /// The service.
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

impl<B> Service<Request<B>> for Health {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Now<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(respond(StatusCode::OK, &Status { status: "ok" })))
    }
}

/// Answers 200 as long as an upstream may be sent requests, and 503 where the circuit breakers of all are open: for load balancers, which
/// then send requests elsewhere.
///
/// `{"status":"ready","available":1,"upstreams":2}`, or `unavailable`.
///
/// ```
/// use axum::Router;
/// use tower_relay::{server::Ready, stats::Stats};
///
/// let stats = Stats::default(); // that the circuit breakers publish to
/// let app: Router = Router::new().route_service("/health/ready", Ready::new(&stats, ["openai", "groq"]));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Ready {
    stats: Stats,
    upstreams: Arc<[Box<str>]>,
}

impl Ready {
    /// By what `stats` says of these upstreams. One of which it says nothing, as it has no circuit breaker, is available. Without any
    /// upstreams it is always ready.
    pub fn new<T: Into<Box<str>>>(stats: &Stats, upstreams: impl IntoIterator<Item = T>) -> Self {
        Self {
            stats: stats.clone(),
            upstreams: upstreams.into_iter().map(Into::into).collect(),
        }
    }

    fn answer(&self) -> Response<ResponseBody> {
        let now = Instant::now();
        let upstreams = self.upstreams.iter();
        let available = upstreams.filter(|upstream| self.stats.admits(upstream, now));
        let available = available.count();
        let (code, status) = if available > 0 || self.upstreams.is_empty() {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        };
        let upstreams = self.upstreams.len();
        respond(
            code,
            &Readiness {
                status,
                available,
                upstreams,
            },
        )
    }
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    available: usize,
    upstreams: usize,
}

impl<B> Service<Request<B>> for Ready {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Now<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(self.answer()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower::ServiceExt;

    use super::*;
    use crate::{stats::Availability, testing::read};

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_until_no_upstream_takes_requests() {
        let stats = Stats::default();
        let service = Ready::new(&stats, ["a", "b"]);
        let ask = async || {
            let response = service.clone().oneshot(Request::new(())).await.unwrap();
            let (head, text) = read(response).await;
            (head.status.as_u16(), text)
        };
        let until = Some(Instant::now() + Duration::from_secs(5));
        let open = Availability::Unavailable { until };
        assert_eq!(ask().await.0, 200);
        stats.availability("a").publish(open);
        assert_eq!(
            ask().await.1,
            r#"{"status":"ready","available":1,"upstreams":2}"#
        );
        stats.availability("b").publish(open);
        let none = r#"{"status":"unavailable","available":0,"upstreams":2}"#;
        assert_eq!(ask().await, (503, none.to_owned()));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(ask().await.0, 200, "one may be probed");
    }
}

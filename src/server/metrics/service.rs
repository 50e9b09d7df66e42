use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tower_service::Service;

use super::Prometheus;
use crate::message::{Endpoint, ResponseBody};

/// Answers a scrape of Prometheus with what a [`Prometheus`] has been told.
///
/// ```
/// use axum::Router;
/// use tower_relay::{
///     server::{Metrics, Prometheus},
///     telemetry::{TelemetryLayer, conventions::BUCKETS, sample},
/// };
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let prometheus = BUCKETS
///     .iter()
///     .fold(Prometheus::new(), |prometheus, (name, bounds)| prometheus.buckets(name, bounds));
/// let recorder = std::sync::Arc::new(prometheus.clone());
/// let telemetry = TelemetryLayer::builder().recorder(recorder).build()?;
/// let stats = telemetry.stats().clone();
/// prometheus.sampled("stats", move |recorder| sample(&stats.snapshot(tokio::time::Instant::now()), recorder));
///
/// let app: Router = Router::new().route_service("/metrics", Metrics::new(prometheus));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Metrics {
    prometheus: Prometheus,
}

impl Metrics {
    /// The service. What it shows is for operators: serve it where only they can ask.
    pub fn new(prometheus: Prometheus) -> Self {
        Self { prometheus }
    }
}

impl<B> Service<Request<B>> for Metrics {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = match *request.method() {
            Method::GET | Method::HEAD => {
                let mut response = Response::new(ResponseBody::from(self.prometheus.render()));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            _ => {
                let message = "metrics are read, by GET";
                let error = crate::message::ApiError::invalid_request(message);
                let mut response = error.to_response(Endpoint::Other.dialect());
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allow);
                response
            }
        };
        let fresh = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, fresh);
        ready(Ok(response))
    }
}

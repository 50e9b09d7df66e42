//! The report again and again, as events.

use std::{
    convert::Infallible,
    future::ready,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready as ready_or_wait},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Interval, MissedTickBehavior, interval},
};
use tower_service::Service;

use super::{Status, StatusFuture};
use crate::{
    message::{ApiError, Media, ResponseBody},
    server::answer::{answered, or_error},
    wire::sse,
};

/// Answers `GET` with an event stream: a [`Report`](super::Report) at once and then one each second, as events named `status`.
///
/// So many may listen at once; others are answered 503.
#[derive(Debug, Clone)]
pub struct StatusStream {
    status: Status,
    every: Duration,
    listeners: Arc<Semaphore>,
}

/// Settings of a [`StatusStream`].
#[derive(Debug, Clone)]
#[must_use]
pub struct StatusStreamBuilder {
    every: Duration,
    max_listeners: usize,
}

impl Default for StatusStreamBuilder {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            max_listeners: 32,
        }
    }
}

impl StatusStreamBuilder {
    /// How long from one report to the next: a second by default, at least a tenth of one.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(100));
        self
    }

    /// How many may listen at once: 32 by default.
    pub fn max_listeners(mut self, most: usize) -> Self {
        self.max_listeners = most.min(Semaphore::MAX_PERMITS);
        self
    }

    /// The service.
    pub fn build(self, status: &Status) -> StatusStream {
        StatusStream {
            status: status.clone(),
            every: self.every,
            listeners: Arc::new(Semaphore::new(self.max_listeners)),
        }
    }
}

impl StatusStream {
    /// Reports of `status`, with the usual settings.
    pub fn new(status: &Status) -> Self {
        Self::builder().build(status)
    }

    /// Settings to choose before [`build`](StatusStreamBuilder::build).
    pub fn builder() -> StatusStreamBuilder {
        StatusStreamBuilder::default()
    }

    fn answer<B>(&self, request: &Request<B>) -> Result<Response<ResponseBody>, ApiError> {
        self.status.admit(request)?;
        let full = |_| {
            let message = "as many listen as may: close another page";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
                .with_code("too_many_listeners")
                .with_retry_after(Duration::from_secs(5))
        };
        let place = Arc::clone(&self.listeners).try_acquire_owned();
        let events = Events {
            status: self.status.clone(),
            every: self.every,
            ticks: None,
            _place: place.map_err(full)?,
        };
        let body = ResponseBody::new(events).with_media(Media::Opaque);
        Ok(answered(body, "text/event-stream"))
    }
}

impl<B> Service<Request<B>> for StatusStream {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = StatusFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> StatusFuture {
        ready(Ok(or_error(self.answer(&request))))
    }
}

/// What one listener gets. Nothing is made for one who does not ask for more: a slow one misses reports.
struct Events {
    status: Status,
    every: Duration,
    /// Made when first asked, where there is a runtime for it.
    ticks: Option<Interval>,
    _place: OwnedSemaphorePermit,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let every = self.every;
        let ticks = self.ticks.get_or_insert_with(|| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        ready_or_wait!(ticks.poll_tick(cx));
        let event = sse::event(Some("status"), &self.status.json());
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

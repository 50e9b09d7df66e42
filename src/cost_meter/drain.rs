//! Answers whose callers have left, read to their end to learn what they cost.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use serde::Deserialize;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    message::{BodyError, ConfigError, ResponseBody},
    wire::units,
    worker::{Shutdown, Worker},
};

/// Reads answers on that their callers have left, so that their real cost is known: the upstream charges for what it goes on to
/// make where it does not notice. Bounded in bytes, time and number. Clones share it.
#[derive(Debug, Clone)]
pub struct Drainer {
    queue: mpsc::Sender<ResponseBody>,
    refused: Arc<AtomicU64>,
}

/// The bounds of a [`Drainer`]; also its configuration.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct DrainerBuilder {
    #[serde(deserialize_with = "units::bytes")]
    bytes: u64,
    #[serde(deserialize_with = "units::duration")]
    time: Duration,
    concurrency: usize,
}

impl Default for DrainerBuilder {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            time: Duration::from_secs(60),
            concurrency: 64,
        }
    }
}

impl DrainerBuilder {
    /// The most that is read of one answer, in bytes: 1 MiB by default.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// The longest that one answer is read on: a minute by default.
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// The most answers that are read on at a time, and as many more that wait: 64 by default. Beyond, they are let go of and
    /// estimated.
    pub fn concurrency(mut self, answers: usize) -> Self {
        self.concurrency = answers;
        self
    }

    /// The drainer, and the worker that reads. When its shutdown fires, what is being read is let go of.
    ///
    /// # Errors
    ///
    /// When a bound is zero.
    pub fn build(self) -> Result<(Drainer, Worker), ConfigError> {
        for (field, is_zero) in [
            ("bytes", self.bytes == 0),
            ("time", self.time.is_zero()),
            ("concurrency", self.concurrency == 0),
        ] {
            if is_zero {
                return Err(ConfigError::new(field, "must be more than zero"));
            }
        }
        let (queue, left) = mpsc::channel(self.concurrency);
        let worker = Worker::new(move |shutdown| run(self, left, shutdown));
        let refused = Arc::default();
        Ok((Drainer { queue, refused }, worker))
    }
}

impl Drainer {
    /// Bounds to choose before [`build`](DrainerBuilder::build).
    pub fn builder() -> DrainerBuilder {
        DrainerBuilder::default()
    }

    /// How many answers were let go of because too many were being read, or the worker was gone.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// `response`, whose body is read on if it is dropped before its end.
    pub(super) fn watch(&self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let media = response.body().media();
        response.map(|body| {
            let left = Left {
                body: Some(body),
                drainer: self.clone(),
            };
            ResponseBody::new(left).with_media(media)
        })
    }
}

/// A body that goes to the drainer when it is dropped before its end.
struct Left {
    body: Option<ResponseBody>,
    drainer: Drainer,
}

impl Body for Left {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream())
            && self.drainer.queue.try_send(body).is_err()
        {
            self.drainer.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

type Drain = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn run(
    bounds: DrainerBuilder,
    mut left: mpsc::Receiver<ResponseBody>,
    mut shutdown: Shutdown,
) {
    let mut drains: Vec<Drain> = Vec::new();
    let mut fired = pin!(shutdown.fired());
    poll_fn(|cx| {
        if fired.as_mut().poll(cx).is_ready() {
            left.close();
            return Poll::Ready(());
        }
        loop {
            drains.retain_mut(|drain| drain.as_mut().poll(cx).is_pending());
            if drains.len() >= bounds.concurrency {
                return Poll::Pending;
            }
            match left.poll_recv(cx) {
                Poll::Ready(Some(body)) => drains.push(Box::pin(drain(body, bounds))),
                Poll::Ready(None) if drains.is_empty() => return Poll::Ready(()),
                _ => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Reads `body` to its end or its bounds, and lets go of it.
async fn drain(mut body: ResponseBody, bounds: DrainerBuilder) {
    let read = async {
        let mut room = bounds.bytes;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let len = frame.data_ref().map_or(1, |data| data.len().max(1)) as u64;
            match room.checked_sub(len) {
                Some(left) => room = left,
                None => break,
            }
        }
    };
    let _ = timeout(bounds.time, read).await;
}

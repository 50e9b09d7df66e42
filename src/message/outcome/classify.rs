//! Deciding on an answer as it passes.

use std::{fmt, future::poll_fn, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::{Outcome, classify_error};
use crate::message::{ApiError, ResponseBody};

/// As much of an error's body is read, in bytes.
const MAX_BODY: usize = 64 << 10;
/// An error's body is waited for so long.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// What a piece of a body counts for at least, in bytes: empty ones must come to an end too.
const MIN_PIECE: usize = 64;

/// A way of one's own to tell what an upstream's error means: for a provider that this crate does not know, or a different opinion.
///
/// Any function of the same arguments is one. `None` leaves the decision to [`classify_error`].
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_relay::message::{ApiError, Classify, Outcome};
///
/// let ours = |_: StatusCode, _: &HeaderMap, error: &ApiError| {
///     (error.code() == Some("gpu_on_fire")).then_some(Outcome::Overloaded { retry_after: None })
/// };
/// # fn layer(_: impl Classify) {}
/// # layer(ours);
/// ```
pub trait Classify: Send + Sync {
    /// The outcome of an answer of this status (400 or above), these headers, and what was read of its body.
    fn classify(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        error: &ApiError,
    ) -> Option<Outcome>;
}

impl<F> Classify for F
where
    F: Fn(StatusCode, &HeaderMap, &ApiError) -> Option<Outcome> + Send + Sync,
{
    fn classify(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        error: &ApiError,
    ) -> Option<Outcome> {
        self(status, headers, error)
    }
}

/// The operator's own opinion of errors, where there is one, as layers keep it.
#[derive(Clone, Default)]
pub(crate) struct Ours(Option<Arc<dyn Classify>>);

impl Ours {
    pub(crate) fn new(classify: impl Classify + 'static) -> Self {
        Self(Some(Arc::new(classify)))
    }
}

impl Classify for Ours {
    fn classify(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        error: &ApiError,
    ) -> Option<Outcome> {
        self.0.as_ref()?.classify(status, headers, error)
    }
}

impl fmt::Debug for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Ours" } else { "None" })
    }
}

/// Decides what `response` means, and notes it in the response's extensions as an [`Outcome`].
///
/// Decided by what is there already: an `Outcome`, a [`Rejection`](crate::message::Rejection), a
/// [`TransportError`](crate::message::TransportError); then by a status below 400, which is a success as far as the head
/// goes. Only then is the body read: at most 64 KiB of it, for at most a second. What was read is handed on as it came, and the
/// rest as it comes.
///
/// Cancel safe in so far as dropping the future drops the response.
pub async fn classify(response: Response<ResponseBody>) -> Response<ResponseBody> {
    classify_with(response, &|_: StatusCode, _: &HeaderMap, _: &ApiError| None).await
}

/// As [`classify`], asking `ours` first what the upstream's error means.
pub async fn classify_with<C>(
    mut response: Response<ResponseBody>,
    ours: &C,
) -> Response<ResponseBody>
where
    C: Classify + ?Sized,
{
    let outcome = if let Some(outcome) = Outcome::of_head(&response) {
        outcome
    } else {
        let error = read_error(&mut response).await;
        let (status, headers) = (response.status(), response.headers());
        let outcome = ours.classify(status, headers, &error);
        outcome.unwrap_or_else(|| classify_error(status, headers, &error))
    };
    response.extensions_mut().insert(outcome);
    response
}

/// The error that `response` states, whose status is no success: read ahead, so that its body is handed on all the same.
pub(crate) async fn read_error(response: &mut Response<ResponseBody>) -> ApiError {
    let (body, _) = read_ahead(response.body_mut()).await;
    ApiError::read(response.status(), response.headers(), &body)
}

/// Reads ahead as much of an error's body as is ever looked at, with what was read ahead before; and whether that is all of it.
pub(in crate::message) async fn read_ahead(body: &mut ResponseBody) -> (BytesMut, bool) {
    let until = Instant::now() + MAX_WAIT;
    let mut read = BytesMut::new();
    let mut counted = 0;
    let mut add = |data: &[u8]| {
        counted += data.len().max(MIN_PIECE);
        let room = MAX_BODY.saturating_sub(read.len());
        read.extend_from_slice(data.get(..room).unwrap_or(data));
        counted < MAX_BODY
    };
    let (mut place, mut has_room, mut ended) = (0, true, false);
    while has_room && !ended {
        let next = poll_fn(|cx| body.poll_ahead_from(&mut place, cx));
        match timeout_at(until, next).await {
            Ok(Some(data)) => has_room = add(&data),
            Ok(None) => ended = true,
            Err(_) => break,
        }
    }
    (read, ended && !body.is_broken_ahead())
}

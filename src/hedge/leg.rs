//! One attempt of two.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response};
use tokio::time::Instant;

use crate::{
    message::{
        End, Failure, HeldBytes, HeldCap, Media, Outcome, Phase, ResponseBody, classify,
        classify_error,
    },
    stats::{Latency, Series},
};

/// An answer that goes on without any output counts as one with it from this many bytes.
const MAX_HELD: usize = 1 << 20;
/// What a piece of it counts for at least, in bytes: empty ones must come to an end too.
const MIN_PIECE: usize = 128;

/// How long an attempt takes to its first output.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    series: Arc<Series>,
    latency: Latency,
    began: Instant,
}

/// An attempt, up to its first output.
pub(super) struct Leg<F> {
    state: State<F>,
    watch: Watch,
    held: Held,
}

/// What an attempt has read ahead of, in bytes: by itself, and as its part of what all together may.
struct Held {
    bytes: usize,
    share: HeldBytes,
    is_full: bool,
}

enum State<F> {
    Calling(F),
    /// An error whose body is being read.
    Reading(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>),
    /// Boxed: a response is large.
    Holding(Box<Response<ResponseBody>>),
    Over,
}

/// What an attempt came to.
pub(super) enum Settled {
    /// It says something.
    Won(Response<ResponseBody>),
    Failed(Response<ResponseBody>, Outcome),
}

impl Watch {
    pub(super) fn new(series: Arc<Series>, latency: Latency, began: Instant) -> Self {
        Self {
            series,
            latency,
            began,
        }
    }

    pub(super) fn series(&self) -> &Series {
        &self.series
    }

    /// How long it has taken at `at`.
    fn observe(&self, at: Instant) {
        let span = at.saturating_duration_since(self.began);
        self.series.observe(at, self.latency, span);
    }
}

impl<F, E> Leg<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>> + Unpin,
{
    pub(super) fn new(future: F, watch: Watch, held: &Arc<HeldCap>) -> Self {
        Self {
            state: State::Calling(future),
            watch,
            held: Held {
                bytes: 0,
                share: held.hold(),
                is_full: false,
            },
        }
    }

    /// What it came to, once that is known. Not to be polled again after that.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Settled, E>> {
        loop {
            let response = match &mut self.state {
                State::Calling(future) => {
                    let response = match ready!(Pin::new(future).poll(cx)) {
                        Ok(response) => response,
                        Err(error) => {
                            self.state = State::Over;
                            return Poll::Ready(Err(error));
                        }
                    };
                    if Outcome::of_head(&response).is_none() {
                        self.state = State::Reading(Box::pin(classify(response)));
                        continue;
                    }
                    response
                }
                State::Reading(reading) => ready!(reading.as_mut().poll(cx)),
                State::Holding(response) => {
                    let outcome = ready!(poll_output(response, &mut self.held, cx));
                    let Some(response) = self.take() else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Ok(match outcome {
                        Outcome::Success => {
                            // Of what is not read here the first byte is all that is known.
                            if response.body().source_media() == Media::Opaque {
                                self.watch.observe(Instant::now());
                            }
                            Settled::Won(response)
                        }
                        outcome => Settled::Failed(response, outcome),
                    }));
                }
                State::Over => return Poll::Pending,
            };
            match Outcome::of_head(&response) {
                Some(Outcome::Success) => {
                    let watch = self.watch.clone();
                    let response =
                        response.map(|body| body.on_first_token(move |at| watch.observe(at)));
                    self.state = State::Holding(Box::new(response));
                }
                outcome => {
                    self.state = State::Over;
                    let outcome = outcome.unwrap_or(Outcome::ServerError);
                    return Poll::Ready(Ok(Settled::Failed(response, outcome)));
                }
            }
        }
    }

    /// The answer's head, whatever follows.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, E>> {
        if let Some(response) = self.take() {
            return Poll::Ready(Ok(response));
        }
        match self.poll(cx) {
            Poll::Ready(Ok(Settled::Won(response) | Settled::Failed(response, _))) => {
                Poll::Ready(Ok(response))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self
                .take()
                .map_or(Poll::Pending, |held| Poll::Ready(Ok(held))),
        }
    }

    /// Lets go of it for another: it would have taken longer. What it has of an answer, which tells who gave it.
    pub(super) fn lose(mut self, now: Instant) -> Option<Response<ResponseBody>> {
        if !matches!(self.state, State::Over | State::Reading(_)) {
            self.watch.observe(now);
        }
        self.take()
    }

    fn take(&mut self) -> Option<Response<ResponseBody>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Holding(response) => Some(*response),
            other => {
                self.state = other;
                None
            }
        }
    }
}

impl Held {
    fn add(&mut self, bytes: usize) {
        let bytes = bytes.max(MIN_PIECE);
        self.bytes += bytes;
        self.is_full |= !self.share.grow(bytes as u64) || self.bytes > MAX_HELD;
    }
}

/// Reads an answer ahead until it says something, or is known not to.
fn poll_output(
    response: &mut Response<ResponseBody>,
    held: &mut Held,
    cx: &mut Context<'_>,
) -> Poll<Outcome> {
    let body = response.body_mut();
    let media = body.source_media();
    loop {
        if let Some(seen) = body.seen() {
            if let Some(error) = seen.error {
                return Poll::Ready(classify_error(error.status(), &HeaderMap::new(), error));
            }
            match seen.end {
                Some(End::Failed(Failure::Deadline)) => {
                    return Poll::Ready(Outcome::Timeout { phase: Phase::Body });
                }
                Some(End::Failed(_)) => {
                    return Poll::Ready(Outcome::Transport { phase: Phase::Body });
                }
                Some(_) => return Poll::Ready(Outcome::Success),
                None if seen.output => return Poll::Ready(Outcome::Success),
                None => {}
            }
        }
        let is_opaque = media == Media::Opaque && body.read_so_far().any(|data| !data.is_empty());
        if is_opaque || held.is_full {
            return Poll::Ready(Outcome::Success);
        }
        match ready!(body.poll_ahead(cx)) {
            Some(data) => held.add(data.len()),
            // What it has said or not is decided by now.
            None if body.seen().is_some_and(|seen| seen.end.is_some()) => {}
            None => return Poll::Ready(Outcome::Success),
        }
    }
}

//! Changing an answer on its way to the caller.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, header};
use http_body::Frame;
use sync_wrapper::SyncWrapper;

use tokio::time::Instant;

use super::{
    BoxError, End, Failure, ResponseBody,
    response::{Broken, SourceFrame},
};
use crate::timer::Timer;

/// How long the error of an answer waits for its last words to be sent.
const PARTING: Duration = Duration::from_millis(50);

/// Changes the bytes of an answer as they pass. Registered with [`ResponseBody::transform`] or [`transform`].
///
/// Everything is pushed into [`Output`]: what is not pushed is gone. An error ends the answer as broken, after what
/// was pushed before it.
pub trait Transform: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// Ends the answer as broken.
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError>;

    /// The upstream's answer has ended in full: the last chance to push.
    ///
    /// # Errors
    ///
    /// Ends the answer as broken.
    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let _ = output;
        Ok(())
    }

    /// The upstream's answer broke with `error`: the last chance to push, and to say what the caller gets to see.
    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        let _ = output;
        error
    }

    /// Asked whenever the upstream has nothing to hand on, for a transform that acts by time: `Ready` once it has acted,
    /// whatever it pushed, and then it is asked again. One that returns `Pending` must have its waker registered, or never
    /// need to act.
    ///
    /// # Errors
    ///
    /// Ends the answer as broken.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output<'_>,
    ) -> Poll<Result<(), BoxError>> {
        let _ = (cx, output);
        Poll::Pending
    }

    /// Whether as many bytes are pushed as are taken, so that the answer's declared length still holds.
    fn keeps_length(&self) -> bool {
        false
    }
}

/// Where a [`Transform`] pushes to: the next transform, or the caller.
pub struct Output<'a> {
    stages: &'a mut [Stage],
    queue: &'a mut VecDeque<Bytes>,
    ended: Option<End>,
    parting: &'a mut bool,
}

impl Output<'_> {
    /// How the upstream's answer ended, as soon as that is decided, where somebody has it looked at: by its terminal event, or
    /// its end.
    pub(crate) fn ended(&self) -> Option<End> {
        self.ended
    }

    /// Hands on the last words of an answer that is about to break. Its error is then held back for a moment: servers drop what
    /// they have not sent yet when they are given one.
    pub(crate) fn part(&mut self, data: Bytes) -> Result<(), BoxError> {
        *self.parting = true;
        self.push(data)
    }

    /// Hands `data` on.
    ///
    /// # Errors
    ///
    /// That of a later transform, which is to be returned.
    pub fn push(&mut self, data: Bytes) -> Result<(), BoxError> {
        if data.is_empty() {
            return Ok(());
        }
        match self.stages.split_first_mut() {
            None => {
                self.queue.push_back(data);
                Ok(())
            }
            Some((stage, stages)) => stage.get_mut().data(
                data,
                &mut Output {
                    stages,
                    queue: self.queue,
                    ended: self.ended,
                    parting: self.parting,
                },
            ),
        }
    }
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

/// The error of a transform that watches over an answer rather than changes it: the fault is not its own.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) what: &'static str,
}

type Stage = SyncWrapper<Box<dyn Transform>>;

/// Changes `response`'s body by `transform`, and removes the headers that describe the bytes it had: length, entity
/// tag, digests and ranges.
pub fn transform(
    mut response: Response<ResponseBody>,
    transform: impl Transform + 'static,
) -> Response<ResponseBody> {
    const STALE: [HeaderName; 8] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::ETAG,
        header::ACCEPT_RANGES,
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("repr-digest"),
    ];
    if !transform.keeps_length() {
        for name in STALE {
            response.headers_mut().remove(name);
        }
    }
    response.map(|body| body.transform(transform))
}

/// The transforms of one body, and what they have pushed but the caller has not yet taken.
#[derive(Default)]
pub(super) struct Pipeline {
    stages: Vec<Stage>,
    queue: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    error: Option<Broken>,
    finished: bool,
    ended: Option<End>,
    parting: bool,
    pause: Option<Timer>,
    changes_length: bool,
    /// Bytes taken in and not yet handed out, where no stage changes how many there are.
    owed: u64,
}

impl Pipeline {
    pub(super) fn push(&mut self, transform: impl Transform + 'static) {
        self.changes_length |= !transform.keeps_length();
        self.stages.push(SyncWrapper::new(Box::new(transform)));
    }

    /// Takes in a frame of the source, or its error; `ended` is how the source's answer ended, as far as that is decided.
    pub(super) fn feed(&mut self, frame: Result<Frame<Bytes>, Broken>, ended: Option<End>) {
        self.ended = ended;
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                self.owed = self.owed.saturating_add(data.len() as u64);
                let pushed = Output {
                    stages: &mut self.stages,
                    queue: &mut self.queue,
                    ended,
                    parting: &mut self.parting,
                }
                .push(data);
                self.stop_on(pushed);
            }
            Ok(Err(other)) => self.trailers = other.into_trailers().ok(),
            Err(Broken { failure, error }) => {
                let mut error = Some(error);
                self.for_each(|stage, output| {
                    error = error.take().map(|cause| stage.fail(cause, output));
                    Ok(())
                });
                self.error = error.map(|error| Broken { failure, error });
                self.finished = true;
            }
        }
    }

    /// Lets every transform push its last, once; whether anything is left to take.
    pub(super) fn finish(&mut self, ended: Option<End>) -> bool {
        if !self.finished {
            self.ended = ended;
            self.for_each(|stage, output| stage.end(output));
            self.finished = true;
        }
        !self.is_finished()
    }

    /// Lets every transform act by time; ready when one did, and is to be asked again: its next waker is not
    /// registered yet.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ended: Option<End>) -> Poll<()> {
        self.ended = ended;
        let mut polled = Poll::Pending;
        self.for_each(|stage, output| match stage.poll(cx, output) {
            Poll::Ready(acted) => {
                polled = Poll::Ready(());
                acted
            }
            Poll::Pending => Ok(()),
        });
        polled
    }

    /// What broke the answer, though the caller may not know yet.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.error.as_ref().map(|broken| broken.failure)
    }

    /// What the caller gets next.
    pub(super) fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceFrame>> {
        if let Some(data) = self.queue.pop_front() {
            self.owed = self.owed.saturating_sub(data.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.error.is_some() && self.parting {
            let pause = self
                .pause
                .get_or_insert_with(|| Timer::until(Instant::now() + PARTING));
            ready!(pause.poll(cx));
        }
        Poll::Ready(if let Some(error) = self.error.take() {
            Some(Err(error))
        } else if self.finished {
            let trailers = self.trailers.take();
            trailers.map(|trailers| Ok(Frame::trailers(trailers)))
        } else {
            None
        })
    }

    /// Whether every transform has pushed its last and all of it was taken.
    pub(super) fn is_finished(&self) -> bool {
        self.finished && self.queue.is_empty() && self.error.is_none() && self.trailers.is_none()
    }

    /// Whether nothing more is taken in.
    pub(super) fn is_over(&self) -> bool {
        self.finished
    }

    pub(super) fn keeps_length(&self) -> bool {
        !self.changes_length
    }

    /// Bytes that will still come of those taken in, if the [length is kept](Self::keeps_length): what is queued, and
    /// what the stages hold back.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Runs `act` on each transform with the ones after it as its output, until one fails.
    fn for_each(
        &mut self,
        mut act: impl FnMut(&mut dyn Transform, &mut Output<'_>) -> Result<(), BoxError>,
    ) {
        let mut stages = self.stages.as_mut_slice();
        let mut result = Ok(());
        while let (Ok(()), Some((stage, rest))) = (&result, stages.split_first_mut()) {
            result = act(
                stage.get_mut().as_mut(),
                &mut Output {
                    stages: rest,
                    queue: &mut self.queue,
                    ended: self.ended,
                    parting: &mut self.parting,
                },
            );
            stages = rest;
        }
        self.stop_on(result);
    }

    fn stop_on(&mut self, result: Result<(), BoxError>) {
        let Err(error) = result else { return };
        if let Some(fault) = error.downcast_ref::<Fault>() {
            // Who watches over an answer that is whole has nothing against it: it only ends.
            if self.ended != Some(End::Complete) {
                let failure = fault.failure;
                self.error.get_or_insert(Broken { failure, error });
            }
        } else if !self.finished {
            // To those that come after the one that could not go on, the answer broke.
            let failure = Failure::Transform;
            self.ended = Some(End::Failed(failure));
            self.finished = true;
            self.feed(Err(Broken { failure, error }), self.ended);
        }
        self.finished = true;
    }
}

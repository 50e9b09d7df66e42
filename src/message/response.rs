//! The answer's body: forwarded as it comes, watched to its end.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use crate::timer::Timer;

use super::{
    BodyError, BoxError, Completion, Deadline, End, Failure, Media,
    boxed::{BoxedBody, unwrap_same},
    transform::{Pipeline, Transform},
    watch::{Seen, Watch},
};

/// The body of an answer on its way to the caller.
///
/// The upstream's own [`Bytes`] are forwarded, never copied. Layers look at them through two hooks:
/// [`on_end`](Self::on_end), called once when the answer has ended in whatever way, and
/// [`transform`](Self::transform), which changes the bytes on their way. Without either nothing is looked at.
///
/// It is an [`http_body::Body`], `Unpin`, `Send` and `Sync`; `is_end_stream` and `size_hint` stay truthful.
pub struct ResponseBody {
    source: Source,
    /// What was read of the source before the caller asked for it.
    ahead: VecDeque<SourceFrame>,
    media: Media,
    /// What the upstream's bytes are, where a transform makes something else of them.
    source_media: Option<Media>,
    pipeline: Option<Box<Pipeline>>,
    watch: Option<Box<Watch>>,
    deadline: Option<Expiry>,
    /// Something was handed on since there last was nothing to hand on: the head, at first.
    unsent: bool,
    /// What the answer needs for as long as it is there.
    #[cfg(feature = "gateway")]
    kept: Option<std::sync::Arc<dyn std::any::Any + Send + Sync>>,
}

pub(super) type SourceFrame = Result<Frame<Bytes>, Broken>;

/// When the answer must be whole.
struct Expiry {
    deadline: Deadline,
    /// Made when first waited for, unless one that was waited for already was handed on.
    timer: Option<Timer>,
}

enum Source {
    Ended,
    Full(Bytes),
    Stream(BoxedBody),
}

impl ResponseBody {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Self::of(Source::Ended)
    }

    /// Any body. One that is a `ResponseBody` already is returned as it is.
    ///
    /// What the bytes are is not known here; use [`ResponseBody::wrap`] where there are headers that say so.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        unwrap_same(body).unwrap_or_else(|body| {
            if body.is_end_stream() {
                Self::empty()
            } else {
                Self::of(Source::Stream(BoxedBody::new(body)))
            }
        })
    }

    /// The answer of a client, with its body wrapped and its media taken from its headers.
    pub fn wrap<B>(response: Response<B>) -> Response<Self>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // Moved in parts only where it must be.
        let mut response =
            unwrap_same(response).unwrap_or_else(|response: Response<B>| response.map(Self::new));
        // One that was wrapped further in knows already.
        if response.body().media == Media::Opaque {
            response.body_mut().media = Media::of(response.headers());
        }
        response
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            ahead: VecDeque::new(),
            media: Media::Opaque,
            source_media: None,
            pipeline: None,
            watch: None,
            deadline: None,
            unsent: true,
            #[cfg(feature = "gateway")]
            kept: None,
        }
    }

    /// States what the bytes are, for a body made by hand.
    pub fn with_media(mut self, media: Media) -> Self {
        self.media = media;
        self
    }

    /// States what a transform makes of the bytes.
    pub(crate) fn turned_into(mut self, media: Media) -> Self {
        self.source_media.get_or_insert(self.media);
        self.media = media;
        self
    }

    /// What the upstream's bytes are, which may not be what the caller gets.
    pub(crate) fn source_media(&self) -> Media {
        self.source_media.unwrap_or(self.media)
    }

    /// What the bytes are.
    pub fn media(&self) -> Media {
        self.media
    }

    /// Calls `callback` exactly once, when this answer has ended: in full, by an error, or because it was dropped,
    /// even if it was never polled.
    ///
    /// Callbacks run in the order of their registration, so an outer layer's sees what an inner one's wrote into
    /// the [`Completion`]. They run inside `poll_frame` or `drop`: they must not block.
    pub fn on_end(mut self, callback: impl FnOnce(&mut Completion) + Send + 'static) -> Self {
        self.call_at_end(callback);
        self
    }

    /// Calls `callback` with the moment at which the upstream's first output came (text, reasoning, a tool call; a JSON body that is
    /// whole), when it does, which it may have done already. An answer without any, or one that is not read here, never calls it.
    ///
    /// It runs inside `poll_frame` and must not block.
    #[cfg(feature = "upstream")]
    pub(crate) fn on_first_token(
        mut self,
        callback: impl FnOnce(tokio::time::Instant) + Send + 'static,
    ) -> Self {
        self.watch().on_output(callback);
        self
    }

    /// As [`on_end`](Self::on_end), where the body lies: an answer is large, and layers that only look need not move it.
    pub(crate) fn call_at_end(&mut self, callback: impl FnOnce(&mut Completion) + Send + 'static) {
        if self.watch.is_some() {
            self.watch().register(callback);
        } else {
            self.watch_by(|media| Watch::with(media, callback));
        }
    }

    /// Has the answer looked at from here on, for [`seen`](Self::seen).
    pub(crate) fn watched(mut self) -> Self {
        self.watch();
        self
    }

    /// What the upstream has said so far, read ahead or not; `None` where nobody has it [looked at](Self::watched).
    pub(crate) fn seen(&self) -> Option<Seen<'_>> {
        self.watch.as_deref().map(|watch| watch.seen())
    }

    /// Lets go of the answer, as one that broke for `failure` unless it has ended already.
    pub(crate) fn give_up(mut self, failure: Failure) {
        if let Some(watch) = &mut self.watch {
            watch.failed(failure);
        }
    }

    fn watch(&mut self) -> &mut Watch {
        self.watch_by(Watch::new)
    }

    /// What watches the answer, made before it sees anything if there is none yet.
    fn watch_by(&mut self, make: impl FnOnce(Media) -> Box<Watch>) -> &mut Watch {
        let declared =
            matches!(self.source, Source::Ended) || self.source.size_hint().exact() == Some(0);
        let broken = self.ahead.back().and_then(|last| last.as_ref().err());
        let broken = broken.map(|broken| broken.failure);
        let (media, ahead) = (self.source_media(), &self.ahead);
        let watch = self.watch.get_or_insert_with(|| {
            let mut watch = make(media);
            for data in ahead.iter().flatten().filter_map(Frame::data_ref) {
                watch.passed(Some(data), false);
            }
            watch
        });
        match broken {
            Some(failure) => watch.failed(failure),
            None if declared => watch.passed(None, true),
            None => {}
        }
        watch
    }

    /// Weighs the text that passes, for [`Completion::output_weight`]: about 20 ns an event of a stream. Where somebody looks at the
    /// answer already, what has passed is not weighed.
    pub fn weigh_output(mut self) -> Self {
        let weighing = |media| {
            let mut watch = Watch::new(media);
            watch.weigh_output();
            watch
        };
        self.watch_by(weighing).weigh_output();
        self
    }

    /// Changes the bytes on their way to the caller, after all transforms registered before.
    ///
    /// Headers that describe the bytes are not the body's: see [`transform`](fn@super::transform), which puts them
    /// right as well.
    pub fn transform(mut self, transform: impl Transform + 'static) -> Self {
        self.pipeline.get_or_insert_default().push(transform);
        self
    }

    /// Breaks the answer off at `deadline`, unless it has ended by then. `timer` is one for the same moment, where
    /// somebody had to wait already. Of several deadlines the earliest counts.
    pub(crate) fn expire(&mut self, deadline: Deadline, timer: Option<Timer>) {
        let is_earliest = self
            .deadline
            .as_ref()
            .is_none_or(|expiry| deadline < expiry.deadline);
        if is_earliest && !self.is_end_stream() {
            self.deadline = Some(Expiry { deadline, timer });
        }
    }

    /// Keeps `thing` until the answer has been let go of.
    #[cfg(feature = "gateway")]
    pub(crate) fn keeping<T: Send + Sync + 'static>(mut self, thing: std::sync::Arc<T>) -> Self {
        self.kept = Some(match self.kept.take() {
            Some(other) => std::sync::Arc::new((other, thing)),
            None => thing,
        });
        self
    }

    /// When it breaks off, unless it has ended by then.
    #[cfg(feature = "gateway")]
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.deadline.as_ref().map(|expiry| expiry.deadline)
    }

    /// Reads the upstream's next bytes ahead of the caller, who gets them all the same, and in the same pieces: for a layer
    /// that must look at an answer before it hands it on. They are seen as they came, before any transform.
    ///
    /// Empty for a frame without data. `None` when there is no more to be read ahead: the answer has ended, or is broken,
    /// which the caller will learn in turn.
    ///
    /// What is read ahead is held until the caller takes it. The bound is for whoever calls this to set.
    pub fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if matches!(self.source, Source::Ended) {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(self.poll_upstream(cx)) else {
            return Poll::Ready(None);
        };
        let data = frame
            .as_ref()
            .map(|frame| frame.data_ref().cloned().unwrap_or_default())
            .ok();
        if data.is_none() {
            self.source = Source::Ended;
        }
        self.ahead.push_back(frame);
        Poll::Ready(data)
    }

    /// As [`poll_ahead`](Self::poll_ahead), for whoever needs the answer from its beginning: what a layer further in has read ahead comes
    /// again. `place` counts the pieces that were given, and begins at 0; nothing may be handed on meanwhile.
    pub(crate) fn poll_ahead_from(
        &mut self,
        place: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        let data = match self.ahead.get(*place) {
            Some(Ok(frame)) => Some(frame.data_ref().cloned().unwrap_or_default()),
            Some(Err(_)) => None,
            None => ready!(self.poll_ahead(cx)),
        };
        *place += usize::from(data.is_some());
        Poll::Ready(data)
    }

    /// What was read ahead and is still to be handed on.
    pub(crate) fn read_so_far(&self) -> impl Iterator<Item = &Bytes> {
        self.ahead.iter().flatten().filter_map(Frame::data_ref)
    }

    /// Whether what was [read ahead](Self::poll_ahead) ends in an error.
    pub(crate) fn is_broken_ahead(&self) -> bool {
        self.ahead.back().is_some_and(Result::is_err)
    }

    /// The source's next frame.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceFrame>> {
        match self.ahead.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => self.poll_upstream(cx),
        }
    }

    /// The upstream's next frame; an error for a frame that is too long to look at, or when the deadline has passed.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceFrame>> {
        let frame = match &mut self.source {
            Source::Ended => None,
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)))
            }
            Source::Stream(body) => {
                // A caller who reads slowly finds data at every poll, so the deadline cannot wait for there to be none.
                let is_late = self.deadline.as_ref().is_some_and(Expiry::has_fired);
                match if is_late {
                    Poll::Pending
                } else {
                    body.poll_frame(cx)
                } {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => {
                        let Some(expiry) = &mut self.deadline else {
                            return Poll::Pending;
                        };
                        ready!(expiry.timer().poll(cx));
                        if self.is_complete() {
                            self.source = Source::Ended;
                            return Poll::Ready(None);
                        }
                        if let Some(watch) = &mut self.watch {
                            watch.failed(Failure::Deadline);
                        }
                        let error = "the request's deadline passed before its answer was whole";
                        return Poll::Ready(Some(Err(Broken {
                            failure: Failure::Deadline,
                            error: error.into(),
                        })));
                    }
                }
            }
        };
        // Where the declared length was reached trailers may still follow.
        let (whole, ended) = match (&frame, &self.source) {
            (Some(Ok(_)), Source::Stream(body)) => (
                body.size_hint().exact() == Some(0) || body.is_end_stream(),
                body.is_end_stream(),
            ),
            _ => (true, true),
        };
        if ended {
            self.source = Source::Ended;
        }
        let frame = match frame {
            // What happens after an answer's end does not change it.
            Some(Err(_)) if self.is_complete() => None,
            Some(Err(error)) => {
                // Decided now: who reads ahead may let go of the answer without ever handing this on.
                if let Some(watch) = &mut self.watch {
                    watch.failed(Failure::Body);
                }
                return Poll::Ready(Some(Err(Broken {
                    failure: Failure::Body,
                    error,
                })));
            }
            Some(Ok(frame)) => Some(frame),
            None => None,
        };
        if let Some(watch) = &mut self.watch {
            watch.passed(frame.as_ref().and_then(Frame::data_ref), whole);
        }
        Poll::Ready(frame.map(Ok))
    }

    /// Whether the answer is known to have ended in full, whatever may follow.
    fn is_complete(&self) -> bool {
        ended(self.watch.as_deref()) == Some(End::Complete)
    }

    /// The next frame, as the transforms have it.
    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceFrame>> {
        loop {
            let Some(pipeline) = &mut self.pipeline else {
                return self.poll_source(cx);
            };
            // Told at once: with its last words a caller may leave.
            if let (Some(failure), Some(watch)) = (pipeline.failure(), &mut self.watch) {
                watch.failed(failure);
            }
            if let Some(frame) = ready!(pipeline.poll_pop(cx)) {
                return Poll::Ready(Some(frame));
            }
            if matches!(self.source, Source::Ended) && self.ahead.is_empty() {
                if !pipeline.finish(ended(self.watch.as_deref())) {
                    return Poll::Ready(None);
                }
                continue;
            }
            let frame = self.poll_source(cx);
            let Some(pipeline) = &mut self.pipeline else {
                continue;
            };
            let ended = ended(self.watch.as_deref());
            match frame {
                Poll::Ready(Some(frame)) => pipeline.feed(frame, ended),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    ready!(pipeline.poll(cx, ended));
                    if pipeline.is_over() {
                        self.source = Source::Ended;
                        self.ahead.clear();
                    }
                    continue;
                }
            }
            // The last frame of a body is known as such where possible: whoever asks `is_end_stream` may never poll again.
            if matches!(self.source, Source::Ended) && self.ahead.is_empty() {
                pipeline.finish(ended);
            }
        }
    }

    /// Keeps an error for the next poll. A server sends what it was given once there is no more to be had for now, and none of it
    /// once there is an error: hyper closes the connection with the last event still in its buffer.
    fn put_off(&mut self, broken: Broken) {
        if let Some(watch) = &mut self.watch {
            watch.failed(broken.failure);
        }
        self.unsent = false;
        self.source = Source::Ended;
        self.pipeline = None;
        self.ahead.clear();
        self.ahead.push_back(Err(broken));
    }

    /// Hands `frame` on, or the end, settling what there is to settle once nothing more can come.
    fn hand_on(&mut self, frame: Option<SourceFrame>) -> Option<Result<Frame<Bytes>, BodyError>> {
        if let (Some(Err(broken)), Some(watch)) = (&frame, &mut self.watch) {
            watch.failed(broken.failure);
        }
        if matches!(frame, None | Some(Err(_))) {
            self.source = Source::Ended;
            self.ahead.clear();
            self.pipeline = None;
        }
        if self.is_end_stream() {
            self.watch = None;
            self.deadline = None;
        }
        frame.map(|frame| frame.map_err(|broken| BodyError::new(broken.error)))
    }
}

fn ended(watch: Option<&Watch>) -> Option<End> {
    watch.and_then(|watch| watch.end())
}

/// Why no more can be handed on.
pub(super) struct Broken {
    pub(super) failure: Failure,
    pub(super) error: BoxError,
}

impl Expiry {
    fn timer(&mut self) -> &mut Timer {
        let at = self.deadline.instant();
        self.timer.get_or_insert_with(|| Timer::until(at))
    }

    /// Whether the moment is known to have passed; reads no clock.
    fn has_fired(&self) -> bool {
        self.timer.as_ref().is_some_and(Timer::has_fired)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = this.poll_changed(cx) else {
            this.unsent = false;
            return Poll::Pending;
        };
        match frame {
            Some(Err(broken)) if this.unsent => {
                this.put_off(broken);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => {
                this.unsent = true;
                Poll::Ready(this.hand_on(frame))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let source_ended = match &self.source {
            Source::Ended => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Stream(body) => body.is_end_stream(),
        };
        source_ended
            && self.ahead.is_empty()
            && self
                .pipeline
                .as_ref()
                .is_none_or(|pipeline| pipeline.is_finished())
    }

    fn size_hint(&self) -> SizeHint {
        if self
            .pipeline
            .as_ref()
            .is_some_and(|pipeline| !pipeline.keeps_length())
        {
            return SizeHint::default();
        }
        let hint = self.source.size_hint();
        let ahead = self.ahead.iter().flatten().filter_map(Frame::data_ref);
        let held = ahead.map(|data| data.len() as u64).sum::<u64>()
            + self.pipeline.as_ref().map_or(0, |pipeline| pipeline.owed());
        let mut sum = SizeHint::new();
        sum.set_lower(hint.lower().saturating_add(held));
        // An exact length would let a server stop asking before it learns that the answer is broken.
        if let Some(upper) = hint.upper().filter(|_| !self.is_broken_ahead()) {
            sum.set_upper(upper.saturating_add(held));
        }
        sum
    }
}

impl Source {
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ended => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    /// Names what is known of it, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("media", &self.media)
            .field("ended", &self.is_end_stream())
            .field("transformed", &self.pipeline.is_some())
            .field("watched", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::empty()
    }
}

macro_rules! full_from {
    ($($text:ty),*) => {$(
        impl From<$text> for ResponseBody {
            fn from(text: $text) -> Self {
                Self::of(Source::Full(text.into()))
            }
        }
    )*};
}
full_from!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

#[cfg(test)]
mod tests;

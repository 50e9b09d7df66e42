//! The answer's body: forwarded as it comes, watched to its end.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};

use super::{
    BodyError, BoxError, Completion, Deadline, Failure, Media,
    boxed::{BoxedBody, unwrap_same},
    transform::{Pipeline, Transform},
    watch::Watch,
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
    media: Media,
    pipeline: Option<Box<Pipeline>>,
    watch: Option<Box<Watch>>,
    deadline: Option<Expiry>,
}

/// When the answer must be whole.
struct Expiry {
    deadline: Deadline,
    /// Made when first waited for, unless one that was waited for already was handed on.
    timer: Option<Pin<Box<Sleep>>>,
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
        let media = Media::of(response.headers());
        response.map(|body| Self {
            media,
            ..Self::new(body)
        })
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            media: Media::Opaque,
            pipeline: None,
            watch: None,
            deadline: None,
        }
    }

    /// States what the bytes are, for a body made by hand.
    pub fn with_media(mut self, media: Media) -> Self {
        self.media = media;
        self
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
        let media = self.media;
        let declared =
            matches!(self.source, Source::Ended) || self.source.size_hint().exact() == Some(0);
        let watch = self
            .watch
            .get_or_insert_with(|| Box::new(Watch::new(media)));
        if declared {
            watch.source_ended();
        }
        watch.register(callback);
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
    pub(crate) fn expire(mut self, deadline: Deadline, timer: Option<Pin<Box<Sleep>>>) -> Self {
        let is_earliest = self
            .deadline
            .as_ref()
            .is_none_or(|expiry| deadline < expiry.deadline);
        if is_earliest && !self.is_end_stream() {
            self.deadline = Some(Expiry { deadline, timer });
        }
        self
    }

    /// The source's next frame; an error for a frame that is too long to look at, or when the deadline has passed.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
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
            Some(Err(error)) => {
                return Poll::Ready(Some(Err(Broken {
                    failure: Failure::Body,
                    error,
                })));
            }
            Some(Ok(frame)) => Some(frame),
            None => None,
        };
        if let Some(watch) = &mut self.watch {
            if let Some(Err(error)) = frame
                .as_ref()
                .and_then(Frame::data_ref)
                .map(|data| watch.data(data))
            {
                let broken = Broken {
                    failure: Failure::FrameTooLong,
                    error: error.into(),
                };
                return Poll::Ready(Some(Err(broken)));
            }
            if whole {
                watch.source_ended();
            }
        }
        Poll::Ready(frame.map(Ok))
    }

    /// Hands `frame` on, or the end, settling what there is to settle once nothing more can come.
    fn hand_on(
        &mut self,
        frame: Option<Result<Frame<Bytes>, Broken>>,
    ) -> Option<Result<Frame<Bytes>, BodyError>> {
        if let (Some(Err(broken)), Some(watch)) = (&frame, &mut self.watch) {
            watch.failed(broken.failure);
        }
        if matches!(frame, None | Some(Err(_))) {
            self.source = Source::Ended;
            self.pipeline = None;
        }
        if self.is_end_stream() {
            self.watch = None;
            self.deadline = None;
        }
        frame.map(|frame| frame.map_err(|broken| BodyError::new(broken.error)))
    }
}

/// Why no more can be handed on.
pub(super) struct Broken {
    pub(super) failure: Failure,
    pub(super) error: BoxError,
}

impl Expiry {
    fn timer(&mut self) -> Pin<&mut Sleep> {
        let at = self.deadline.instant();
        self.timer
            .get_or_insert_with(|| Box::pin(sleep_until(at)))
            .as_mut()
    }

    /// Whether the moment is known to have passed; reads no clock.
    fn has_fired(&self) -> bool {
        self.timer.as_ref().is_some_and(|timer| timer.is_elapsed())
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
        let frame = loop {
            let Some(pipeline) = &mut this.pipeline else {
                break ready!(this.poll_source(cx));
            };
            if let Some(frame) = pipeline.pop() {
                break Some(frame);
            }
            if matches!(this.source, Source::Ended) {
                if !pipeline.finish() {
                    break None;
                }
                continue;
            }
            let frame = this.poll_source(cx);
            let Some(pipeline) = &mut this.pipeline else {
                continue;
            };
            match frame {
                Poll::Ready(Some(frame)) => pipeline.feed(frame),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    ready!(pipeline.poll(cx));
                    continue;
                }
            }
            // The last frame of a body is known as such where possible: whoever asks `is_end_stream` may never poll again.
            if matches!(this.source, Source::Ended) {
                pipeline.finish();
            }
        };
        Poll::Ready(this.hand_on(frame))
    }

    fn is_end_stream(&self) -> bool {
        let source_ended = match &self.source {
            Source::Ended => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Stream(body) => body.is_end_stream(),
        };
        source_ended
            && self
                .pipeline
                .as_ref()
                .is_none_or(|pipeline| pipeline.is_finished())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.pipeline {
            Some(pipeline) if !pipeline.keeps_length() => SizeHint::default(),
            Some(pipeline) => {
                let (hint, owed) = (self.source.size_hint(), pipeline.owed());
                let mut sum = SizeHint::new();
                sum.set_lower(hint.lower().saturating_add(owed));
                if let Some(upper) = hint.upper() {
                    sum.set_upper(upper.saturating_add(owed));
                }
                sum
            }
            None => self.source.size_hint(),
        }
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

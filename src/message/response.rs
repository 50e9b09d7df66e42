//! The answer's body: forwarded as it comes, watched to its end.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::{Body, Frame, SizeHint};

use super::{
    BoxError, Completion, End, Media,
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
            if body.is_end_stream() { Self::empty() } else { Self::of(Source::Stream(BoxedBody::new(body))) }
        })
    }

    /// The answer of a client, with its body wrapped and its media taken from its headers.
    pub fn wrap<B>(response: Response<B>) -> Response<Self>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let media = Media::of(response.headers());
        response.map(|body| Self { media, ..Self::new(body) })
    }

    fn of(source: Source) -> Self {
        Self { source, media: Media::Opaque, pipeline: None, watch: None }
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
        let declared = matches!(self.source, Source::Ended) || self.source.size_hint().exact() == Some(0);
        let watch = self.watch.get_or_insert_with(|| Box::new(Watch::new(media)));
        if declared && self.pipeline.is_none() {
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

    /// Takes in the next frame of the source; `None` when there is nothing to hand on yet.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.source {
            Source::Ended => None,
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)))
            }
            Source::Stream(body) => ready!(body.poll_frame(cx)),
        };
        let ended = match (&frame, &self.source) {
            (Some(Ok(_)), Source::Stream(body)) => body.is_end_stream() || body.size_hint().exact() == Some(0),
            _ => true,
        };
        if ended {
            self.source = Source::Ended;
        }
        if let Some(watch) = &mut self.watch {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        watch.data(data);
                    }
                    if ended {
                        watch.source_ended();
                    }
                }
                Some(Err(_)) => watch.source_failed(),
                None => watch.source_ended(),
            }
        }
        Poll::Ready(frame)
    }

    /// Settles the watch when nothing more will be handed on.
    fn settle_if_ended(&mut self) {
        if self.watch.is_some() && self.is_end_stream() {
            self.watch = None;
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = loop {
            if let Some(frame) = this.pipeline.as_mut().and_then(|pipeline| pipeline.pop()) {
                break Some(frame);
            }
            if let (Source::Ended, Some(pipeline)) = (&this.source, &mut this.pipeline) {
                if !pipeline.finish() {
                    break None;
                }
                continue;
            }
            match (this.poll_source(cx), &mut this.pipeline) {
                (Poll::Ready(frame), None) => break frame,
                (Poll::Ready(None), Some(_)) => {}
                (Poll::Ready(Some(frame)), Some(pipeline)) => {
                    pipeline.feed(frame);
                    if matches!(this.source, Source::Ended) {
                        pipeline.finish();
                    }
                }
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(pipeline)) => {
                    ready!(pipeline.poll(cx));
                }
            }
        };
        if let (Some(Err(_)), Some(watch)) = (&frame, &mut this.watch) {
            watch.source_failed();
        }
        if matches!(frame, None | Some(Err(_))) {
            this.source = Source::Ended;
            this.pipeline = None;
        }
        this.settle_if_ended();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let source_ended = match &self.source {
            Source::Ended => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Stream(body) => body.is_end_stream(),
        };
        source_ended && self.pipeline.as_ref().is_none_or(|pipeline| pipeline.is_finished())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.pipeline {
            Some(pipeline) if !pipeline.keeps_length() => SizeHint::default(),
            Some(pipeline) => {
                let (hint, queued) = (self.source.size_hint(), pipeline.queued());
                let mut sum = SizeHint::new();
                sum.set_lower(hint.lower() + queued);
                if let Some(upper) = hint.upper() {
                    sum.set_upper(upper + queued);
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

//! The answer's body: forwarded as it comes, watched to its end.

mod reading;
mod source;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};

pub(super) use self::source::{Broken, SourceFrame};
use self::source::{Expiry, Source};
use super::{
    BoxError, Completion, Deadline, Failure, Media,
    boxed::{BoxedBody, unwrap_same},
    transform::{Pipeline, Transform},
    watch::{Seen, Watch},
};
use crate::timer::Timer;

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

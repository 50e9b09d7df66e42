//! How an answer is read: from its source, through its transforms, to its caller.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    ResponseBody,
    source::{Broken, Expiry, Source, SourceFrame},
};
use crate::message::{BodyError, End, Failure, watch::Watch};

impl ResponseBody {
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

fn ended(watch: Option<&Watch>) -> Option<End> {
    watch.and_then(|watch| watch.end())
}

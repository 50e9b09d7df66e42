//! Any body behind one pointer, still truthful about its length and its end.

use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use sync_wrapper::SyncWrapper;

use super::BoxError;

/// A foreign body, boxed once.
///
/// The box is not `Sync`, so what it says about itself is noted after each poll, where it can be asked.
pub(super) struct BoxedBody {
    body: SyncWrapper<Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>>,
    hint: SizeHint,
    ended: bool,
}

impl BoxedBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (hint, ended) = (body.size_hint(), body.is_end_stream());
        Self {
            body: SyncWrapper::new(Box::pin(body.map_err(Into::into))),
            hint,
            ended,
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.body.get_mut();
        let polled = body.as_mut().poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) => {
                self.hint = body.size_hint();
                self.ended = body.is_end_stream();
            }
            Poll::Ready(_) => {
                self.hint = SizeHint::with_exact(0);
                self.ended = true;
            }
            Poll::Pending => {}
        }
        polled
    }

    /// Whether nothing more will come, as far as the body knows.
    pub(super) fn is_end_stream(&self) -> bool {
        self.ended
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// `body` (or a message with one) itself where it is an `Own` already, so that wrapping twice costs no second box.
pub(super) fn unwrap_same<Own: Default + 'static, B: 'static>(mut body: B) -> Result<Own, B> {
    match (&mut body as &mut dyn Any).downcast_mut::<Own>() {
        Some(own) => Ok(std::mem::take(own)),
        None => Err(body),
    }
}

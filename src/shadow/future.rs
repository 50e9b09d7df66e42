use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::pair::Watch;
use crate::message::ResponseBody;

pin_project! {
    /// The future of [`Shadow`](super::Shadow).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ShadowFuture<F> {
        #[pin]
        future: F,
        // Boxed, as most requests have none.
        watch: Option<Box<Watch>>,
    }
}

impl<F> ShadowFuture<F> {
    pub(super) fn new(future: F, watch: Option<Watch>) -> Self {
        Self {
            future,
            watch: watch.map(Box::new),
        }
    }
}

impl<F, E> Future for ShadowFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx));
        Poll::Ready(match (response, this.watch.take()) {
            (Ok(response), Some(watch)) => Ok(watch.answered(response)),
            (Err(error), Some(watch)) => {
                watch.failed();
                Err(error)
            }
            (response, None) => response,
        })
    }
}

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::answer;
use crate::message::{OrRefused, ResponseBody};

pin_project! {
    /// The future of [`ModelRewrite`](super::ModelRewrite).
    #[derive(Debug)]
    pub struct ModelRewriteFuture<F> {
        #[pin]
        future: OrRefused<F>,
        restore: Option<Box<str>>,
    }
}

impl<F> ModelRewriteFuture<F> {
    pub(super) fn inner(future: F, restore: Option<Box<str>>) -> Self {
        Self {
            future: OrRefused::inner(future),
            restore,
        }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            future: OrRefused::refused(response),
            restore: None,
        }
    }
}

impl<F, E> Future for ModelRewriteFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        Poll::Ready(Ok(match this.restore.take() {
            Some(asked) => answer::restore_name(response, &asked),
            None => response,
        }))
    }
}

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{answer, report::Report};
use crate::message::{OrRefused, ResponseBody};

pin_project! {
    /// The future of [`ModelRewrite`](super::ModelRewrite).
    #[derive(Debug)]
    pub struct ModelRewriteFuture<F> {
        #[pin]
        future: OrRefused<F>,
        answer: Answer,
    }
}

/// What is done to the answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The name that was asked for, where it is to be shown again.
    pub(super) restore: Option<Box<str>>,
    /// Boxed, as most requests have none.
    pub(super) report: Option<Box<Report>>,
}

impl<F> ModelRewriteFuture<F> {
    pub(super) fn inner(future: F, answer: Answer) -> Self {
        Self {
            future: OrRefused::inner(future),
            answer,
        }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            future: OrRefused::refused(response),
            answer: Answer::default(),
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
        let mut answered = ready!(this.future.poll(cx));
        if let Ok(response) = &mut answered {
            if let Some(report) = this.answer.report.take() {
                report.write(response.headers_mut());
            }
            if let Some(asked) = this.answer.restore.take() {
                let taken = std::mem::take(response);
                *response = answer::restore_name(taken, &asked);
            }
        }
        Poll::Ready(answered)
    }
}

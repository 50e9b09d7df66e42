use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::pass::Pass;
use crate::message::{OrRefused, ResponseBody};

pin_project! {
    /// The future of [`BudgetService`](super::BudgetService).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BudgetFuture<F> {
        // Before the pass: dropped together, the attempts end first, and the pass settles by what they cost.
        #[pin]
        inner: OrRefused<F>,
        pass: Option<Pass>,
    }
}

impl<F> BudgetFuture<F> {
    pub(super) fn sent(future: F, pass: Option<Pass>) -> Self {
        Self {
            inner: OrRefused::inner(future),
            pass,
        }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            inner: OrRefused::refused(response),
            pass: None,
        }
    }
}

impl<F, E> Future for BudgetFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(pass) = this.pass {
            pass.sent();
        }
        let answered = ready!(this.inner.poll(cx));
        let pass = this.pass.take();
        Poll::Ready(match (answered, pass) {
            (Ok(response), Some(pass)) => Ok(pass.answered(response)),
            (Err(error), Some(pass)) => {
                pass.failed();
                Err(error)
            }
            (answered, None) => answered,
        })
    }
}

//! The future of a layer that either passes a request on or refuses it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;

use super::ResponseBody;

pin_project! {
    /// An inner service's future, or the response of a layer that did not call it.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct OrRefused<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<F> {
        Inner { #[pin] future: F },
        // Boxed: a response is large, and this is the rare case.
        Refused { response: Option<Box<Response<ResponseBody>>> },
    }
}

impl<F> OrRefused<F> {
    /// The request was passed on.
    pub fn inner(future: F) -> Self {
        Self {
            state: State::Inner { future },
        }
    }

    /// The request was refused.
    pub fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            state: State::Refused {
                response: Some(Box::new(response)),
            },
        }
    }
}

impl<F, E> Future for OrRefused<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => future.poll(cx),
            // A future that has answered is never polled again.
            StateProjection::Refused { response } => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(*response))),
        }
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::again::Again;
use crate::message::{KeptDeadline, RequestBody, Rescue, Rescued, ResponseBody, Rest};

pin_project! {
    /// The future of [`Retry`](super::Retry).
    pub struct RetryFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        attempts: Rescued<S::Future, Again<S>, S::Error>,
    }
}

impl<S> RetryFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn new(future: S::Future, again: Option<Again<S>>, kept: KeptDeadline) -> Self {
        Self {
            attempts: Rescued::first(future, again, kept),
        }
    }
}

impl<S> Rescue<S::Error> for Again<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    fn rescue(self, failed: Response<ResponseBody>) -> Rest<S::Error> {
        Box::pin(self.run(failed))
    }
}

impl<S> Future for RetryFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().attempts.poll(cx)
    }
}

impl<S> fmt::Debug for RetryFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("attempts", &self.attempts)
            .finish()
    }
}

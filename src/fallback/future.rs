use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::chain::Chain;
use crate::message::{KeptDeadline, RequestBody, Rescue, Rescued, ResponseBody, Rest};

pin_project! {
    /// The future of [`Fallback`](super::Fallback).
    pub struct FallbackFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        attempts: Rescued<S::Future, Chain<S>, S::Error>,
    }
}

impl<S> FallbackFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    /// The primary first, and then the `chain`, where there is one to go along.
    pub(super) fn first(future: S::Future, chain: Option<Chain<S>>, kept: KeptDeadline) -> Self {
        Self {
            attempts: Rescued::first(future, chain, kept),
        }
    }
}

impl<S> FallbackFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    /// The target at the place `start` first, and then the others.
    pub(super) fn rest(chain: Chain<S>, start: usize, kept: KeptDeadline) -> Self {
        Self {
            attempts: Rescued::rest(Box::pin(chain.run(start, None)), kept),
        }
    }
}

impl<S> Rescue<S::Error> for Chain<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    fn rescue(self, failed: Response<ResponseBody>) -> Rest<S::Error> {
        Box::pin(self.run(0, Some(failed)))
    }
}

impl<S> Future for FallbackFuture<S>
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

impl<S> fmt::Debug for FallbackFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture")
            .field("attempts", &self.attempts)
            .finish()
    }
}

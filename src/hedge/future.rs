use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::layer::Shared;
use crate::message::{RequestBody, ResponseBody, Rest, name_upstream};

pin_project! {
    /// The future of [`Hedge`](super::Hedge).
    pub struct HedgeFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S>
    where
        S: Service<Request<RequestBody>>,
    {
        Alone { #[pin] future: S::Future, shared: Arc<Shared> },
        Race { future: Rest<S::Error> },
    }
}

impl<S> HedgeFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    /// The primary, and nobody else.
    pub(super) fn alone(future: S::Future, shared: Arc<Shared>) -> Self {
        Self {
            state: State::Alone { future, shared },
        }
    }

    pub(super) fn race(future: Rest<S::Error>) -> Self {
        Self {
            state: State::Race { future },
        }
    }
}

impl<S> Future for HedgeFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Alone { future, shared } => {
                let mut response = ready!(future.poll(cx))?;
                name_upstream(&mut response, &shared.name, shared.header.as_ref());
                Poll::Ready(Ok(response))
            }
            StateProjection::Race { future } => future.as_mut().poll(cx),
        }
    }
}

impl<S> fmt::Debug for HedgeFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeFuture").finish_non_exhaustive()
    }
}

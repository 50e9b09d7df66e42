//! The future of a layer that gives each request to one of several.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{ServiceExt, util::Oneshot};
use tower_service::Service;

use super::Target;
use crate::message::{RequestBody, ResponseBody};

pin_project! {
    /// The one that was picked: the layer's own service, a target, or nobody.
    pub(crate) struct Picked<S>
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
        Own { #[pin] future: Oneshot<S, Request<RequestBody>> },
        Target { #[pin] future: Oneshot<Target, Request<RequestBody>> },
        // Boxed: a response is large, and this is the rare case.
        Refused { response: Option<Box<Response<ResponseBody>>> },
    }
}

impl<S> Picked<S>
where
    S: Service<Request<RequestBody>>,
{
    /// The layer's own service, once it is ready.
    pub(crate) fn own(service: S, request: Request<RequestBody>) -> Self {
        let future = service.oneshot(request);
        Self {
            state: State::Own { future },
        }
    }

    /// A target, once it is ready.
    pub(crate) fn target(target: Target, request: Request<RequestBody>) -> Self {
        let future = target.oneshot(request);
        Self {
            state: State::Target { future },
        }
    }

    /// Nobody.
    pub(crate) fn refused(response: Response<ResponseBody>) -> Self {
        let response = Some(Box::new(response));
        Self {
            state: State::Refused { response },
        }
    }
}

impl<S> Future for Picked<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Own { future } => future.poll(cx),
            StateProjection::Target { future } => future.poll(cx).map_err(|never| match never {}),
            // A future that has answered is never polled again.
            StateProjection::Refused { response } => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(*response))),
        }
    }
}

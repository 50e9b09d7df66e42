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

use super::{ask::Ask, layer::Shared, settle::Pass};
use crate::message::{RequestBody, ResponseBody, Trail, classify, require_usage};

pin_project! {
    /// The future of [`RateLimit`](super::RateLimit).
    pub struct RateLimitFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

/// One that was admitted, and whether its answer has to say what it used.
type Admitted = (Pass, bool);
type Waiting = Pin<Box<dyn Future<Output = Result<Admitted, Response<ResponseBody>>> + Send>>;
type Reading = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        // Boxed: who waits has the time.
        Waiting { waiting: Waiting, held: Option<(S, Request<RequestBody>)> },
        Readying { held: Option<(S, Request<RequestBody>)>, pass: Option<Admitted> },
        Sent { #[pin] future: F, pass: Option<Pass> },
        // A refusal of the provider, whose wait is read.
        Reading { reading: Reading, pass: Option<Pass> },
        Refused { response: Option<Box<Response<ResponseBody>>> },
    }
}

impl<S> RateLimitFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn sent(future: S::Future, pass: Option<Pass>) -> Self {
        Self {
            state: State::Sent { future, pass },
        }
    }

    /// Calls `service`, which is ready.
    pub(super) fn send(
        service: &mut S,
        request: Request<RequestBody>,
        pass: Option<Admitted>,
    ) -> Self {
        let (future, pass) = send(service, request, pass);
        Self::sent(future, pass)
    }

    pub(super) fn readying(
        service: S,
        request: Request<RequestBody>,
        pass: Option<Admitted>,
    ) -> Self {
        Self {
            state: State::Readying {
                held: Some((service, request)),
                pass,
            },
        }
    }

    pub(super) fn waiting(
        service: S,
        request: Request<RequestBody>,
        shared: &Arc<Shared>,
        ask: Ask,
    ) -> Self {
        let shared = Arc::clone(shared);
        let wait = Trail::wait(request.extensions());
        let waiting = async move {
            let _wait = wait;
            let (needs_usage, ask) = (ask.needs_usage, Arc::new(ask));
            let room = Arc::clone(&shared).wait_for_room(Arc::clone(&ask)).await;
            room.map(|pass| (pass, needs_usage))
                .map_err(|denied| shared.refuse(&ask, &denied))
        };
        Self {
            state: State::Waiting {
                waiting: Box::pin(waiting),
                held: Some((service, request)),
            },
        }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            state: State::Refused {
                response: Some(Box::new(response)),
            },
        }
    }
}

fn send<S: Service<Request<RequestBody>>>(
    service: &mut S,
    mut request: Request<RequestBody>,
    pass: Option<Admitted>,
) -> (S::Future, Option<Pass>) {
    let pass = pass.map(|(mut pass, needs_usage)| {
        // It was read when its tokens were estimated.
        let hide = needs_usage.then(|| require_usage(&mut request).ok().flatten());
        pass.hide(hide.flatten());
        pass
    });
    (service.call(request), pass)
}

impl<S> Future for RateLimitFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // A future that has answered is never polled again: what is taken is there.
            let next = match state.as_mut().project() {
                StateProjection::Waiting { waiting, held } => {
                    match ready!(waiting.as_mut().poll(cx)) {
                        Ok(pass) => State::Readying {
                            held: held.take(),
                            pass: Some(pass),
                        },
                        Err(response) => return Poll::Ready(Ok(response)),
                    }
                }
                StateProjection::Readying { held, pass } => {
                    let Some((service, _)) = held else {
                        return Poll::Pending;
                    };
                    ready!(service.poll_ready(cx))?;
                    let Some((mut service, request)) = held.take() else {
                        return Poll::Pending;
                    };
                    let (future, pass) = send(&mut service, request, pass.take());
                    State::Sent { future, pass }
                }
                StateProjection::Sent { future, pass } => {
                    if let Some(pass) = pass {
                        pass.sent();
                    }
                    let answered = ready!(future.poll(cx));
                    let Some(pass) = pass.take() else {
                        return Poll::Ready(answered);
                    };
                    match answered {
                        Err(error) => {
                            pass.failed();
                            return Poll::Ready(Err(error));
                        }
                        Ok(response) if pass.wants_classified(&response) => State::Reading {
                            reading: Box::pin(classify(response)),
                            pass: Some(pass),
                        },
                        Ok(response) => return Poll::Ready(Ok(pass.answered(response))),
                    }
                }
                StateProjection::Reading { reading, pass } => {
                    let response = ready!(reading.as_mut().poll(cx));
                    let Some(pass) = pass.take() else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Ok(pass.answered(response)));
                }
                StateProjection::Refused { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(*response)),
                        None => Poll::Pending,
                    };
                }
            };
            state.set(next);
        }
    }
}

impl<S> fmt::Debug for RateLimitFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "Waiting",
            State::Readying { .. } => "Readying",
            State::Sent { .. } => "Sent",
            State::Reading { .. } => "Reading",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("RateLimitFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

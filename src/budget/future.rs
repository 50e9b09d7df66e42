use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::pass::Pass;
use crate::message::{RequestBody, ResponseBody};

/// What the store's answer comes to: the request, perhaps for another model, or the refusal.
pub(super) type Asking = Pin<Box<dyn Future<Output = Admitted> + Send>>;
pub(super) type Admitted =
    Result<(Request<RequestBody>, Option<Pass>), Box<Response<ResponseBody>>>;

pin_project! {
    /// The future of [`BudgetService`](super::BudgetService).
    #[must_use = "futures do nothing unless polled"]
    pub struct BudgetFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        // Before the pass: dropped together, the attempts end first, and the pass settles by what they cost.
        #[pin]
        state: State<S, S::Future>,
        pass: Option<Pass>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F>
    where
        S: Service<Request<RequestBody>>,
    {
        // A store is asked.
        Asking { asking: Asking, service: Option<S> },
        Readying { held: Option<(S, Request<RequestBody>)> },
        Sent { #[pin] future: F },
        Refused { response: Option<Box<Response<ResponseBody>>> },
    }
}

impl<S> BudgetFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn asking(asking: Asking, service: S) -> Self {
        let service = Some(service);
        Self::new(State::Asking { asking, service }, None)
    }

    pub(super) fn sent(future: S::Future, pass: Option<Pass>) -> Self {
        Self::new(State::Sent { future }, pass)
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        let response = Some(Box::new(response));
        Self::new(State::Refused { response }, None)
    }

    fn new(state: State<S, S::Future>, pass: Option<Pass>) -> Self {
        Self { state, pass }
    }
}

impl<S> Future for BudgetFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answered = loop {
            match this.state.as_mut().project() {
                StateProjection::Asking { asking, service } => {
                    let admitted = ready!(asking.as_mut().poll(cx));
                    // A future that has answered is never polled again: what is taken is there.
                    let Some(service) = service.take() else {
                        return Poll::Pending;
                    };
                    let next = match admitted {
                        Ok((request, pass)) => {
                            *this.pass = pass;
                            let held = Some((service, request));
                            State::Readying { held }
                        }
                        Err(response) => State::Refused {
                            response: Some(response),
                        },
                    };
                    this.state.set(next);
                }
                StateProjection::Readying { held } => {
                    let Some((service, _)) = held else {
                        return Poll::Pending;
                    };
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        break Err(error);
                    }
                    let Some((mut service, request)) = held.take() else {
                        return Poll::Pending;
                    };
                    let future = service.call(request);
                    this.state.set(State::Sent { future });
                }
                StateProjection::Sent { future } => {
                    if let Some(pass) = this.pass {
                        pass.sent();
                    }
                    break ready!(future.poll(cx));
                }
                StateProjection::Refused { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(*response)),
                        None => Poll::Pending,
                    };
                }
            }
        };
        Poll::Ready(match (answered, this.pass.take()) {
            (Ok(response), Some(pass)) => Ok(pass.answered(response)),
            (Err(error), Some(pass)) => {
                pass.failed();
                Err(error)
            }
            (answered, None) => answered,
        })
    }
}

impl<S> fmt::Debug for BudgetFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetFuture")
            .field("pass", &self.pass)
            .finish_non_exhaustive()
    }
}

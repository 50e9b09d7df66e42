use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    escalate::{Again, Rest},
    headers,
    layer::Selected,
    logprobs,
};
use crate::message::{OrRefused, RequestBody, ResponseBody};

pin_project! {
    /// The future of [`ModelSelect`](super::ModelSelect).
    pub struct ModelSelectFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S::Future, S::Error>,
        chosen: Option<Selected>,
        again: Option<Box<Again<S>>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, E> {
        First { #[pin] future: OrRefused<F> },
        Rest { future: Rest<E> },
    }
}

impl<S> ModelSelectFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn passed(future: S::Future) -> Self {
        Self::of(OrRefused::inner(future))
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self::of(OrRefused::refused(response))
    }

    pub(super) fn first(
        future: S::Future,
        selected: Selected,
        again: Option<Box<Again<S>>>,
    ) -> Self {
        Self {
            again,
            chosen: Some(selected),
            ..Self::of(OrRefused::inner(future))
        }
    }

    fn of(future: OrRefused<S::Future>) -> Self {
        Self {
            state: State::First { future },
            chosen: None,
            again: None,
        }
    }
}

impl<S> Future for ModelSelectFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = loop {
            match this.state.as_mut().project() {
                StateProjection::First { future } => {
                    let response = ready!(future.poll(cx))?;
                    let again = this.again.take();
                    let Some(again) = again.filter(|again| again.may_follow(&response)) else {
                        break response;
                    };
                    let future: Rest<S::Error> = Box::pin(again.run(response));
                    this.state.set(State::Rest { future });
                }
                StateProjection::Rest { future } => {
                    let (response, selected) = ready!(future.as_mut().poll(cx))?;
                    if let (Some(chosen), Some(selected)) = (this.chosen.as_mut(), selected) {
                        *chosen = selected;
                    }
                    break response;
                }
            }
        };
        Poll::Ready(Ok(match this.chosen.take() {
            Some(chosen) => tell(chosen, response),
            None => response,
        }))
    }
}

/// Says in the answer what was chosen.
fn tell(chosen: Selected, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    headers::write(&mut response, &chosen.selection);
    response.extensions_mut().insert(chosen.selection);
    if chosen.hides_logprobs && response.status().is_success() {
        response = logprobs::hide(response);
    }
    response
}

impl<S> fmt::Debug for ModelSelectFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSelectFuture")
            .field("may_escalate", &self.again.is_some())
            .finish_non_exhaustive()
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    gate::{Permit, Waiting},
    gradient::Sample,
    layer::Shared,
};
use crate::message::{Completion, Endpoint, Outcome, RequestBody, ResponseBody, Trail, Wait};

pin_project! {
    /// The future of [`Admission`](super::Admission).
    pub struct AdmissionFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    // Wherever it is dropped, what it holds goes with it: a place in line, or a permit.
    #[project = StateProjection]
    enum State<S, F> {
        Waiting {
            waiting: Waiting,
            held: Option<(S, Request<RequestBody>)>,
            shared: Arc<Shared>,
            wait: Option<Wait>,
        },
        Readying { held: Option<(S, Request<RequestBody>)>, permit: Option<Permit> },
        Sent { #[pin] future: F, permit: Option<Permit> },
        // Boxed: a response is large, and this is the rare case.
        Refused { response: Option<Box<Response<ResponseBody>>> },
    }
}

impl<S> AdmissionFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn waiting(
        service: S,
        request: Request<RequestBody>,
        waiting: Waiting,
        shared: Arc<Shared>,
    ) -> Self {
        let wait = Trail::wait(request.extensions());
        let state = State::Waiting {
            waiting,
            wait,
            held: Some((service, request)),
            shared,
        };
        Self { state }
    }

    pub(super) fn readying(
        service: S,
        request: Request<RequestBody>,
        permit: Option<Permit>,
    ) -> Self {
        let state = State::Readying {
            held: Some((service, request)),
            permit,
        };
        Self { state }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        let state = State::Refused {
            response: Some(Box::new(response)),
        };
        Self { state }
    }
}

impl<S> Future for AdmissionFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // A future that has answered is never polled again: what is taken is there.
            let next = match state.as_mut().project() {
                StateProjection::Waiting {
                    waiting,
                    held,
                    shared,
                    ..
                } => match ready!(waiting.poll(cx)) {
                    Ok(permit) => State::Readying {
                        held: held.take(),
                        permit: Some(permit),
                    },
                    Err(shed) => {
                        let endpoint = held.take().map(|(_, request)| Endpoint::of(&request));
                        let dialect = endpoint.unwrap_or(Endpoint::Other).dialect();
                        return Poll::Ready(Ok(shared.refuse(shed, dialect)));
                    }
                },
                StateProjection::Readying { held, permit } => {
                    let Some((service, _)) = held else {
                        return Poll::Pending;
                    };
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        drop(permit.take());
                        return Poll::Ready(Err(error));
                    }
                    let Some((mut service, request)) = held.take() else {
                        return Poll::Pending;
                    };
                    State::Sent {
                        future: service.call(request),
                        permit: permit.take(),
                    }
                }
                StateProjection::Sent { future, permit } => {
                    let answered = ready!(future.poll(cx));
                    let Some(permit) = permit.take() else {
                        return Poll::Ready(answered);
                    };
                    return Poll::Ready(answered.map(|response| hold(response, permit)));
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

/// Lets the permit go when the answer has ended.
fn hold(response: Response<ResponseBody>, permit: Permit) -> Response<ResponseBody> {
    let outcome = Outcome::of_head(&response);
    let status = response.status().as_u16();
    response.map(|body| {
        body.on_end(move |completion| {
            permit.observe(completion.ended_at, |since| {
                // Other errors tell nothing of the load: they come fast, whatever it is.
                let outcome = outcome.unwrap_or(match status {
                    429 | 503 | 529 => Outcome::Overloaded { retry_after: None },
                    _ => Outcome::InvalidRequest,
                });
                sample(completion, outcome, since)
            });
        })
    })
}

fn sample(completion: &Completion, head: Outcome, since: Instant) -> Option<Sample> {
    match Outcome::of_completion(completion, head) {
        Outcome::Success => {
            let at = completion.first_token_at.or(completion.first_byte_at);
            let at = at.unwrap_or(completion.ended_at);
            Some(Sample::Answered(at.saturating_duration_since(since)))
        }
        Outcome::Overloaded { .. } | Outcome::RateLimited { .. } | Outcome::Timeout { .. } => {
            Some(Sample::Overloaded)
        }
        _ => None,
    }
}

impl<S> fmt::Debug for AdmissionFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "Waiting",
            State::Readying { .. } => "Readying",
            State::Sent { .. } => "Sent",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("AdmissionFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

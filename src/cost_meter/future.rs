use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;

use super::{OnDisconnect, attempt::Attempt, show};
use crate::{
    ledger::Slot,
    message::{Gather, HideUsage, Media, RequestBody, ResponseBody},
};

/// The longest answer whose cost is stated in its head, in bytes.
const MAX_HELD: usize = 1 << 20;

pin_project! {
    /// The future of [`CostMeter`](super::CostMeter).
    #[must_use = "futures do nothing unless polled"]
    pub struct CostMeterFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S>,
        // Gone once it has been handed to the answer, and where nothing is metered.
        attempt: Option<Attempt>,
        hide: Option<HideUsage>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S>
    where
        S: Service<Request<RequestBody>>,
    {
        // The ledger has no room for the record yet.
        Waiting { waiting: Option<Box<Waiting<S>>> },
        Late { #[pin] future: Oneshot<S, Request<RequestBody>> },
        Called { #[pin] future: S::Future },
        // The answer's cost is to stand in its head.
        Holding { response: Option<Box<Response<ResponseBody>>>, json: Gather, place: usize },
    }
}

struct Waiting<S> {
    slot: Pin<Box<dyn Future<Output = Slot> + Send>>,
    inner: S,
    request: Request<RequestBody>,
}

impl<S> CostMeterFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn passed(future: S::Future) -> Self {
        Self {
            state: State::Called { future },
            attempt: None,
            hide: None,
        }
    }

    pub(super) fn begun(future: S::Future, attempt: Attempt, hide: Option<HideUsage>) -> Self {
        Self {
            state: State::Called { future },
            attempt: Some(attempt),
            hide,
        }
    }

    pub(super) fn waiting(
        slot: Pin<Box<dyn Future<Output = Slot> + Send>>,
        inner: S,
        request: Request<RequestBody>,
        attempt: Attempt,
        hide: Option<HideUsage>,
    ) -> Self {
        let waiting = Some(Box::new(Waiting {
            slot,
            inner,
            request,
        }));
        Self {
            state: State::Waiting { waiting },
            attempt: Some(attempt),
            hide,
        }
    }
}

impl<S> Future for CostMeterFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProjection::Waiting { waiting } => {
                    let Some(wait) = waiting else {
                        return Poll::Pending;
                    };
                    let slot = ready!(wait.slot.as_mut().poll(cx));
                    let Some(wait) = waiting.take() else {
                        return Poll::Pending;
                    };
                    if let Some(attempt) = this.attempt.as_mut() {
                        attempt.take_slot(slot);
                    }
                    let future = wait.inner.oneshot(wait.request);
                    this.state.set(State::Late { future });
                    continue;
                }
                StateProjection::Late { future } => ready!(future.poll(cx))?,
                StateProjection::Called { future } => ready!(future.poll(cx))?,
                StateProjection::Holding {
                    response,
                    json,
                    place,
                } => {
                    let Some(held) = response else {
                        return Poll::Pending;
                    };
                    while json.len() <= MAX_HELD {
                        match ready!(held.body_mut().poll_ahead_from(place, cx)) {
                            Some(piece) => json.push(piece, 0),
                            None => break,
                        }
                    }
                    let (Some(mut held), Some(attempt)) = (response.take(), this.attempt.take())
                    else {
                        return Poll::Pending;
                    };
                    if json.len() <= MAX_HELD {
                        let before = attempt.bill().map(crate::message::Bill::cost);
                        let pricing = attempt.pricing(None);
                        let json = json.take();
                        show::in_header(&mut held, &json, &pricing, before.unwrap_or_default());
                    }
                    return Poll::Ready(Ok(metered(*held, attempt, this.hide.take())));
                }
            };
            let Some(mut attempt) = this.attempt.take() else {
                return Poll::Ready(Ok(response));
            };
            attempt.answered(&response);
            if attempt.shows_header(&response) {
                *this.attempt = Some(attempt);
                this.state.set(State::Holding {
                    response: Some(Box::new(response.map(ResponseBody::weigh_output))),
                    json: Gather::default(),
                    place: 0,
                });
                continue;
            }
            return Poll::Ready(Ok(metered(response, attempt, this.hide.take())));
        }
    }
}

/// The answer, whose end writes the attempt's line.
fn metered(
    response: Response<ResponseBody>,
    attempt: Attempt,
    hide: Option<HideUsage>,
) -> Response<ResponseBody> {
    let Some(bill) = attempt.bill().cloned() else {
        return response;
    };
    let is_success = response.status().is_success();
    let shared = attempt.shared();
    let pricing = (shared.cost_in_body && is_success).then(|| attempt.pricing(None));
    let drainer = match &shared.on_disconnect {
        OnDisconnect::Drain(drainer) if is_success => Some(drainer.clone()),
        _ => None,
    };
    let mut response = response.map(|body| {
        let body = if is_success {
            body.weigh_output()
        } else {
            body
        };
        body.on_end(move |completion| attempt.end(completion))
    });
    response.extensions_mut().insert(bill.clone());
    if let Some(drainer) = drainer {
        response = drainer.watch(response);
        let bill = bill.clone();
        response = response.map(|body| body.on_end(move |completion| completion.bill = Some(bill)));
    }
    if let Some(hide) = hide {
        response = hide.hide(response);
    }
    match pricing {
        Some(pricing) => show::in_body(response, pricing, &bill),
        None => response,
    }
}

impl Attempt {
    /// Whether the head waits for the body, to state its cost.
    fn shows_header(&self, response: &Response<ResponseBody>) -> bool {
        self.shared().cost_header
            && response.status().is_success()
            && response.body().media() == Media::Json
    }
}

impl<S> fmt::Debug for CostMeterFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostMeterFuture").finish_non_exhaustive()
    }
}

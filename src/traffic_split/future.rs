use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::{SplitChoice, X_RELAY_UPSTREAM, layer::Shared};
use crate::{
    client::Target,
    message::{RequestBody, ResponseBody, Served},
};

pin_project! {
    /// The future of [`TrafficSplit`](super::TrafficSplit).
    pub struct TrafficSplitFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S>,
        choice: Option<(SplitChoice, Arc<Shared>, usize)>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S>
    where
        S: Service<Request<RequestBody>>,
    {
        Baseline { #[pin] future: Oneshot<S, Request<RequestBody>> },
        Target { #[pin] future: Oneshot<Target, Request<RequestBody>> },
        // Boxed: a response is large, and this is the rare case.
        Refused { response: Option<Box<Response<ResponseBody>>> },
    }
}

impl<S> TrafficSplitFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn baseline(
        future: Oneshot<S, Request<RequestBody>>,
        choice: SplitChoice,
        shared: Arc<Shared>,
        place: usize,
    ) -> Self {
        Self {
            state: State::Baseline { future },
            choice: Some((choice, shared, place)),
        }
    }

    pub(super) fn target(
        future: Oneshot<Target, Request<RequestBody>>,
        choice: SplitChoice,
        shared: Arc<Shared>,
        place: usize,
    ) -> Self {
        Self {
            state: State::Target { future },
            choice: Some((choice, shared, place)),
        }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            state: State::Refused {
                response: Some(Box::new(response)),
            },
            choice: None,
        }
    }
}

impl<S> Future for TrafficSplitFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            StateProjection::Baseline { future } => ready!(future.poll(cx))?,
            StateProjection::Target { future } => match ready!(future.poll(cx)) {
                Ok(response) => response,
                Err(never) => match never {},
            },
            // A future that has answered is never polled again.
            StateProjection::Refused { response } => {
                return response
                    .take()
                    .map_or(Poll::Pending, |response| Poll::Ready(Ok(*response)));
            }
        };
        if let Some((choice, shared, place)) = this.choice.take() {
            mark(&mut response, choice, &shared, place);
        }
        Poll::Ready(Ok(response))
    }
}

/// Says in the answer who gave it. What a split further in has said is the more exact.
fn mark(response: &mut Response<ResponseBody>, choice: SplitChoice, shared: &Shared, place: usize) {
    if response.extensions().get::<SplitChoice>().is_some() {
        return;
    }
    let served = response.extensions().get::<Served>();
    let header = match served.filter(|served| served.upstream != choice.target) {
        Some(served) => HeaderValue::from_str(&served.upstream).ok(),
        None => None,
    };
    let own = || shared.members.get(place)?.header.clone();
    if let Some(header) = header.or_else(own) {
        response.headers_mut().insert(X_RELAY_UPSTREAM, header);
    }
    response.extensions_mut().insert(SplitChoice {
        track: None,
        ..choice
    });
}

impl<S> fmt::Debug for TrafficSplitFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficSplitFuture")
            .field("choice", &self.choice.as_ref().map(|(choice, ..)| choice))
            .finish_non_exhaustive()
    }
}

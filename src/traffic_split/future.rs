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

use super::{SplitChoice, layer::Shared};
use crate::{
    client::Picked,
    message::{RequestBody, ResponseBody, name_upstream},
};

pin_project! {
    /// The future of [`TrafficSplit`](super::TrafficSplit).
    pub struct TrafficSplitFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        picked: Picked<S>,
        choice: Option<(SplitChoice, Arc<Shared>, usize)>,
    }
}

impl<S> TrafficSplitFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn picked(
        picked: Picked<S>,
        choice: SplitChoice,
        shared: Arc<Shared>,
        place: usize,
    ) -> Self {
        Self {
            picked,
            choice: Some((choice, shared, place)),
        }
    }

    pub(super) fn refused(response: Response<ResponseBody>) -> Self {
        Self {
            picked: Picked::refused(response),
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
        let mut response = ready!(this.picked.poll(cx))?;
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
    let member = shared.members.get(place);
    let header = member.and_then(|member| member.header.as_ref());
    name_upstream(response, &choice.target, header);
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

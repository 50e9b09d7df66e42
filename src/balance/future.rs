use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::load::Load;
use crate::{
    client::Picked,
    message::{Outcome, Phase, RequestBody, ResponseBody, classify, name_upstream},
};

pin_project! {
    /// The future of [`Balance`](super::Balance).
    pub struct BalanceFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        picked: Picked<S>,
        // Dropped with the future, unless it went on with the body.
        load: Option<Load>,
        reading: Option<Reading>,
    }
}

/// An error whose body is being read.
type Reading = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

impl<S> BalanceFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn new(picked: Picked<S>, load: Load) -> Self {
        Self {
            picked,
            load: Some(load),
            reading: None,
        }
    }
}

impl<S> Future for BalanceFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.reading {
            Some(reading) => ready!(reading.as_mut().poll(cx)),
            None => match ready!(this.picked.poll(cx)) {
                Ok(response) if Outcome::of_head(&response).is_none() => {
                    let reading = this.reading.insert(Box::pin(classify(response)));
                    ready!(reading.as_mut().poll(cx))
                }
                Ok(response) => response,
                Err(error) => {
                    if let Some(load) = this.load.take() {
                        load.failed(Outcome::Transport { phase: Phase::Head });
                    }
                    return Poll::Ready(Err(error));
                }
            },
        };
        let Some(load) = this.load.take() else {
            return Poll::Ready(Ok(response));
        };
        Poll::Ready(Ok(answered(response, load)))
    }
}

fn answered(mut response: Response<ResponseBody>, load: Load) -> Response<ResponseBody> {
    if let Some(member) = load.member() {
        name_upstream(&mut response, &member.name, member.header.as_ref());
    }
    let outcome = Outcome::of_head(&response).unwrap_or(Outcome::ServerError);
    load.answered(response, outcome)
}

impl<S> fmt::Debug for BalanceFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceFuture").finish_non_exhaustive()
    }
}

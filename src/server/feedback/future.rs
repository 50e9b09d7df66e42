use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;

use super::{
    ask::{self, Taken},
    layer::Shared,
};
use crate::{
    message::{Dialect, RequestBody, ResponseBody, Served},
    server::answer::respond,
};

type Taking = Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;

pin_project! {
    /// The future of [`FeedbackService`](super::FeedbackService).
    pub struct FeedbackFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Passing { #[pin] future: F, shared: Arc<Shared>, asked: Option<u64> },
        // Boxed, as it is rare.
        Taking { future: Taking },
    }
}

impl<F> FeedbackFuture<F> {
    pub(super) fn passing(future: F, shared: Arc<Shared>, asked: Option<u64>) -> Self {
        Self {
            state: State::Passing {
                future,
                shared,
                asked,
            },
        }
    }

    pub(super) fn taking(shared: Arc<Shared>, request: Request<RequestBody>) -> Self {
        Self {
            state: State::Taking {
                future: Box::pin(take(shared, request)),
            },
        }
    }
}

async fn take(shared: Arc<Shared>, request: Request<RequestBody>) -> Response<ResponseBody> {
    let caller = shared.caller(&request);
    let taken = match ask::read(request).await {
        Ok(ask) => {
            let taken = shared.take(&caller, &ask.request_id, ask.score);
            taken.ok_or_else(ask::unknown)
        }
        Err(error) => Err(error),
    };
    match taken {
        Ok(feedback) => respond(
            StatusCode::OK,
            &Taken {
                request_id: &feedback.request_id,
                upstream: &feedback.upstream,
                score: feedback.score,
            },
        ),
        Err(error) => error.to_response(Dialect::OpenAi),
    }
}

impl<F, E> Future for FeedbackFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProjection::Passing {
                future,
                shared,
                asked,
            } => {
                let response = ready!(future.poll(cx))?;
                let served = response.extensions().get::<Served>();
                if let (Some(asked), Some(served)) = (asked.take(), served) {
                    shared.answered(asked, &served.upstream);
                }
                Poll::Ready(Ok(response))
            }
            StateProjection::Taking { future } => future.as_mut().poll(cx).map(Ok),
        }
    }
}

impl<F> fmt::Debug for FeedbackFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedbackFuture").finish_non_exhaustive()
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Timeout, timeout};
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;

use super::{
    Entry,
    answers::{led, lost, missed, replay},
    ask::Ask,
    head::SharedHead,
    member::{Boarded, Member},
};
use crate::message::{Dialect, HideUsage, RequestBody, ResponseBody};

pin_project! {
    /// The future of [`CacheService`](super::CacheService).
    #[must_use = "futures do nothing unless polled"]
    pub struct CacheFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S>,
        hide: Option<HideUsage>,
    }
}

pin_project! {
    #[project = StateProjection]
    pub(super) enum State<S>
    where
        S: Service<Request<RequestBody>>,
    {
        // Nobody else hears of it.
        Passed { #[pin] future: Oneshot<S, Request<RequestBody>>, is_miss: bool },
        Looking { looking: Option<Box<Looking<S>>> },
        Leading { member: Option<Member>, failed: Failed<S::Error>, stale: Option<Entry>, dialect: Dialect },
        Following { member: Option<Member>, ask: Option<Box<Ask<S>>>, stale: Option<Entry> },
        // Boxed: a response is large.
        Answered { response: Option<Box<Response<ResponseBody>>> },
    }
}

/// Where the error of a call is put that others drive too.
pub(super) type Failed<E> = Arc<Mutex<Option<E>>>;

type Lookup = Pin<Box<dyn Future<Output = Option<Entry>> + Send>>;

/// The store is asked.
pub(super) struct Looking<S> {
    ask: Ask<S>,
    kept: Pin<Box<Timeout<Lookup>>>,
}

impl<S> State<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    pub(super) fn passed(inner: S, request: Request<RequestBody>) -> Self {
        Self::Passed {
            future: inner.oneshot(request),
            is_miss: false,
        }
    }

    pub(super) fn answered(response: Response<ResponseBody>) -> Self {
        Self::Answered {
            response: Some(Box::new(response)),
        }
    }

    pub(super) fn looking(ask: Ask<S>, kept: Lookup) -> Self {
        let kept = Box::pin(timeout(ask.shared.store_timeout, kept));
        Self::Looking {
            looking: Some(Box::new(Looking { ask, kept })),
        }
    }
}

impl<S> CacheFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    pub(super) fn new(state: State<S>) -> Self {
        Self { state, hide: None }
    }

    /// Takes out of the answer what only the asking for usage caused.
    pub(super) fn hiding(mut self, hide: Option<HideUsage>) -> Self {
        self.hide = hide;
        self
    }
}

impl<S> Future for CacheFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Output = Result<Response<ResponseBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(State::poll(this.state, cx))?;
        let hide = this.hide.take().filter(|_| response.status().is_success());
        Poll::Ready(Ok(match hide {
            Some(hide) => hide.hide(response),
            None => response,
        }))
    }
}

impl<S> State<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, S::Error>> {
        loop {
            let next = match self.as_mut().project() {
                StateProjection::Passed { future, is_miss } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(if *is_miss { missed(response) } else { response }));
                }
                StateProjection::Looking { looking } => {
                    let Some(found) = looking else {
                        return Poll::Pending;
                    };
                    // A store that takes too long has nothing.
                    let kept = ready!(found.kept.as_mut().poll(cx)).ok().flatten();
                    let Some(looking) = looking.take() else {
                        return Poll::Pending;
                    };
                    looking.ask.decide(kept)
                }
                StateProjection::Leading {
                    member,
                    failed,
                    stale,
                    dialect,
                } => {
                    let Some(waiting) = member else {
                        return Poll::Pending;
                    };
                    let boarded = ready!(waiting.poll_head(cx));
                    let Some(member) = member.take() else {
                        return Poll::Pending;
                    };
                    let shared = Arc::clone(&member.flight().shared);
                    let stale = stale.take();
                    let response = match boarded {
                        Boarded::Leader(parts, head) => match stale {
                            Some(entry) if head.may_be_stood_in_for() => {
                                replay(&shared, &entry, true)
                            }
                            _ => led(member, *parts, &head),
                        },
                        Boarded::Own(response) => {
                            let error =
                                failed.lock().unwrap_or_else(PoisonError::into_inner).take();
                            match (response, error, stale) {
                                (Some(response), _, stale) => match stale {
                                    Some(entry)
                                        if SharedHead::of(&response).may_be_stood_in_for() =>
                                    {
                                        replay(&shared, &entry, true)
                                    }
                                    _ => missed(*response),
                                },
                                (None, _, Some(entry)) => replay(&shared, &entry, true),
                                (None, Some(error), None) => return Poll::Ready(Err(error)),
                                (None, None, None) => lost(*dialect),
                            }
                        }
                        Boarded::Follower(_) | Boarded::Released => return Poll::Pending,
                    };
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Following { member, ask, stale } => {
                    let Some(waiting) = member else {
                        return Poll::Pending;
                    };
                    let boarded = ready!(waiting.poll_head(cx));
                    let (Some(member), Some(ask)) = (member.take(), ask.take()) else {
                        return Poll::Pending;
                    };
                    match boarded {
                        Boarded::Leader(_, head) | Boarded::Follower(head) => {
                            let shared = &ask.shared;
                            let response = match stale.take() {
                                Some(entry) if head.may_be_stood_in_for() => {
                                    replay(shared, &entry, true)
                                }
                                _ => {
                                    shared.counters.shared.add(1);
                                    let body = ResponseBody::new(member.body(head.length));
                                    head.response(body)
                                }
                            };
                            return Poll::Ready(Ok(response));
                        }
                        Boarded::Own(_) | Boarded::Released => {
                            drop(member);
                            ask.lead_alone(stale.take())
                        }
                    }
                }
                // A future that has answered is never polled again.
                StateProjection::Answered { response } => {
                    return response
                        .take()
                        .map_or(Poll::Pending, |response| Poll::Ready(Ok(*response)));
                }
            };
            self.set(next);
        }
    }
}

impl<S> fmt::Debug for CacheFuture<S>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFuture").finish_non_exhaustive()
    }
}

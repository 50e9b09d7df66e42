use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, StatusCode, response::Parts};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    time::{Timeout, timeout},
};
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;

use super::{
    CacheKey, Entry, X_RELAY_CACHE,
    directives::Directives,
    flight::{Call, Flight},
    flights::Entered,
    head::SharedHead,
    layer::Shared,
    member::{Boarded, Member},
    state::Use,
};
use crate::message::{
    ApiError, Bill, Dialect, Endpoint, HideUsage, Reason, Rejection, RequestBody, ResponseBody,
    copy,
};

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

/// A request for the cache.
pub(super) struct Ask<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
    pub(super) request: Request<RequestBody>,
    pub(super) key: CacheKey,
    pub(super) directives: Directives,
    pub(super) is_stream: bool,
    /// Whether a kept answer may be given in another form.
    pub(super) any_form: bool,
    /// Calls that had ended before the store was asked.
    pub(super) landed: u64,
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

impl<S> Ask<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    /// What comes of the request, by what is kept.
    pub(super) fn decide(self, kept: Option<Entry>) -> State<S> {
        let Some(entry) = kept else {
            return self.miss(None);
        };
        // Before it is put into another form, which takes longer than anything else here.
        let good_for = self.shared.lifetimes.judge(entry.age(), &self.directives);
        let kept = match good_for {
            Use::Nothing => None,
            _ if self.any_form => entry.in_form(self.is_stream),
            _ => Some(entry),
        };
        let Some(entry) = kept else {
            return self.miss(None);
        };
        match good_for {
            Use::Fresh => self.hit(&entry, false),
            Use::Stale => self.hit(&entry, true),
            Use::Refresh => {
                self.refresh();
                self.hit(&entry, true)
            }
            Use::IfError => self.miss(Some(entry)),
            Use::Nothing => self.miss(None),
        }
    }

    fn hit(&self, entry: &Entry, is_stale: bool) -> State<S> {
        State::answered(replay(&self.shared, entry, is_stale))
    }

    /// Asks for the answer, or waits for whoever does.
    fn miss(self, stale: Option<Entry>) -> State<S> {
        if self.directives.only_if_cached {
            return State::answered(not_kept(&self.request));
        }
        if self.directives.no_cache {
            return self.lead_alone(stale);
        }
        let bill = || Bill::find(self.request.extensions());
        match self.shared.flights.enter(
            &self.shared,
            &self.key,
            (self.landed, self.is_stream),
            bill,
        ) {
            Entered::Leads(flight, member) => self.lead(&flight, member, stale),
            Entered::Follows(member) => State::Following {
                member: Some(member),
                stale,
                ask: Some(Box::new(self)),
            },
            Entered::Alone => self.lead_alone(stale),
            Entered::LookAgain => self.look_again(stale),
        }
    }

    /// The answer may have come between the look into the store and the look for whoever asks for it.
    fn look_again(mut self, stale: Option<Entry>) -> State<S> {
        use crate::reserve::Answer;
        self.landed = self.shared.flights.landed(&self.key);
        match self.shared.store.get(&self.key) {
            Answer::Now(kept) => match kept.flatten() {
                Some(entry) => self.decide(Some(entry)),
                None => self.miss(stale),
            },
            Answer::Later(kept) => State::looking(self, kept),
        }
    }

    /// Asks for itself. The answer is kept all the same.
    fn lead_alone(self, stale: Option<Entry>) -> State<S> {
        let bill = Bill::find(self.request.extensions());
        let (shared, key) = (&self.shared, self.key.clone());
        let (flight, member) = Flight::begin(shared, key, shared.epoch(), None, bill);
        self.lead(&flight, member, stale)
    }

    fn lead(self, flight: &Arc<Flight>, member: Member, stale: Option<Entry>) -> State<S> {
        self.shared.counters.misses.add(1);
        let failed = Failed::default();
        let dialect = Endpoint::of(&self.request).dialect();
        flight.launch(call(self.inner, self.request, &failed));
        State::Leading {
            member: Some(member),
            failed,
            stale,
            dialect,
        }
    }

    /// Has a task ask for the answer anew, unless somebody does already, or as many tasks as may do.
    fn refresh(&self) {
        let Ok(permit) = Arc::clone(&self.shared.refreshes).try_acquire_owned() else {
            return;
        };
        let (Ok(runtime), Some(body)) = (Handle::try_current(), self.request.body().try_clone())
        else {
            return;
        };
        let bill = Bill::find(self.request.extensions());
        // What it costs is the caller's, however late it is known.
        let line = bill.as_ref().map(Bill::open);
        let shared = &self.shared;
        let entered =
            shared
                .flights
                .enter(shared, &self.key, (self.landed, self.is_stream), || bill);
        let Entered::Leads(flight, mut member) = entered else {
            return;
        };
        let request = copy(&self.request, body);
        flight.launch(call(
            self.inner.clone(),
            request,
            &Failed::<S::Error>::default(),
        ));
        runtime.spawn(async move {
            let _held = (permit, line);
            let head = std::future::poll_fn(|cx| member.poll_head(cx)).await;
            if let Boarded::Leader(_, head) = head {
                let mut body = member.body(head.length);
                while let Some(Ok(_)) = body.frame().await {}
            }
        });
    }
}

/// The call, as something that all who wait for it can drive. Where it fails of itself, that is for whoever called.
fn call<S>(inner: S, request: Request<RequestBody>, failed: &Failed<S::Error>) -> Call
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    let failed = Arc::clone(failed);
    Box::pin(async move {
        match inner.oneshot(request).await {
            Ok(response) => Some(response),
            Err(error) => {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                None
            }
        }
    })
}

fn replay(shared: &Shared, entry: &Entry, is_stale: bool) -> Response<ResponseBody> {
    let counters = &shared.counters;
    counters.hits.add(1);
    counters.stale.add(is_stale.into());
    if let Some(saved) = entry.saved() {
        counters
            .saved
            .add(u64::try_from(saved.pico_usd()).unwrap_or(u64::MAX));
    }
    entry.replay(is_stale, shared.pace)
}

/// The leader's answer: its own head, and a body that others may read too.
fn led(member: Member, parts: Parts, head: &SharedHead) -> Response<ResponseBody> {
    let bill = member.flight().bill.as_ref().map(|(bill, _)| bill.clone());
    let body = ResponseBody::new(member.body(head.length)).with_media(head.media());
    let body = match bill {
        // What the meters further in wrote into their own completion.
        Some(bill) => body.on_end(move |completion| {
            if bill.attempts() > 0 {
                completion.bill.get_or_insert(bill);
            }
        }),
        None => body,
    };
    missed(Response::from_parts(parts, body))
}

fn missed(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    let headers = response.headers_mut();
    headers.insert(X_RELAY_CACHE, HeaderValue::from_static("miss"));
    response
}

/// The answer to one whose call panicked in the hands of another who waits for it.
fn lost(dialect: Dialect) -> Response<ResponseBody> {
    let message = "the relay failed while it waited for the answer";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message).to_response(dialect)
}

fn not_kept(request: &Request<RequestBody>) -> Response<ResponseBody> {
    let message = "the request says \"cache-control: only-if-cached\", and its answer is not in the relay's cache";
    let error = ApiError::new(
        StatusCode::GATEWAY_TIMEOUT,
        "invalid_request_error",
        message,
    )
    .with_code("not_cached");
    let dialect = Endpoint::of(request).dialect();
    Rejection::new("cache", Reason::InvalidRequest).into_response(&error, dialect)
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

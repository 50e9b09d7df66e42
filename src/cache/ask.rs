//! What comes of a request for the cache.

use std::sync::{Arc, PoisonError};

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tower::util::ServiceExt;
use tower_service::Service;

use super::{
    CacheKey, Entry,
    answers::{not_kept, replay},
    directives::Directives,
    flight::{Call, Flight},
    flights::Entered,
    future::{Failed, State},
    layer::Shared,
    member::{Boarded, Member},
    state::Use,
};
use crate::message::{Bill, Endpoint, RequestBody, ResponseBody, copy};

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
    pub(super) fn lead_alone(self, stale: Option<Entry>) -> State<S> {
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

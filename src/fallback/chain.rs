//! The way of one request along the chain.

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    layer::Shared,
    queue,
    state::order,
    trip::{Made, Trip, was_not_made},
};
use crate::{
    message::{
        ApiError, Deadline, Effects, Endpoint, Outcome, Refusal, Rejection, RequestBody,
        ResponseBody, Trail, classify_with, drain,
    },
    reserve::{Original, SetAside},
};

/// What it takes to ask other targets.
pub(super) struct Chain<S> {
    /// The primary, where it may be asked once more.
    pub(super) primary: Option<S>,
    pub(super) shared: Arc<Shared>,
    pub(super) original: Original,
    /// The attempt at the next target, which those further in are not to use up.
    pub(super) aside: Option<SetAside>,
}

/// How one turn of all targets ended.
enum Turn {
    /// By the target at this place. Boxed: a response is large.
    Answered(Box<Response<ResponseBody>>, usize),
    /// All are open, and this is the shortest of the waits that they advise.
    Open(Option<Duration>),
    Failed,
}

impl<S> Chain<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    /// Asks the target at `start` (which has `answered` already, or is yet to) and then the others, for as long as they fail and
    /// may be asked.
    pub(super) async fn run(
        mut self,
        start: usize,
        mut answered: Option<Response<ResponseBody>>,
    ) -> Result<Response<ResponseBody>, S::Error> {
        // Read only now, as most requests never come here.
        let stays = |_: &mut _| Effects::of(self.original.request()) != Effects::Generate;
        if let Some(response) = answered.take_if(stays) {
            return Ok(response);
        }
        let shared = Arc::clone(&self.shared);
        if start > 0 {
            shared.counters.sticky();
        }
        // From before backups are asked, so that no change is missed from there on.
        let mut subscriptions = if shared.queue.is_on() {
            shared.subscribe()
        } else {
            Vec::new()
        };
        let mut trip = Trip::default();
        let mut queued = None;
        loop {
            let turn = self.turn(start, answered.take(), &mut trip).await?;
            let advised = match turn {
                Turn::Answered(response, place) => {
                    return Ok(self.answer(*response, start, place, trip));
                }
                Turn::Failed => break,
                Turn::Open(_) if !shared.queue.is_on() => break,
                Turn::Open(advised) => advised,
            };
            let now = Instant::now();
            if queued.is_none() {
                let entered = shared.queue.enter();
                shared.counters.queued(entered.is_some());
                let Some(entered) = entered else { break };
                let end = now + shared.queue.wait;
                let deadline = self.original.deadline().map(Deadline::instant);
                queued = Some((entered, deadline.map_or(end, |deadline| deadline.min(end))));
                trip.has_waited = true;
            }
            let Some((_, end)) = queued else { break };
            let at = match queue::next(now, advised, end) {
                Some(at) => at,
                // Whoever publishes may be ready sooner than was advised.
                None if now < end && !subscriptions.is_empty() => end,
                None => break,
            };
            let _wait = Trail::wait(self.original.request().extensions());
            queue::pause(at, &mut subscriptions).await;
        }
        Ok(self.fail(trip))
    }

    /// Asks each target once, from `start` on, until one answers or no more may be asked.
    async fn turn(
        &mut self,
        start: usize,
        mut answered: Option<Response<ResponseBody>>,
        trip: &mut Trip,
    ) -> Result<Turn, S::Error> {
        let shared = Arc::clone(&self.shared);
        let mut advised: Option<Duration> = None;
        let mut all_open = true;
        for (turn, place) in order(start, shared.count()).enumerate() {
            let (response, made) = if let Some(response) = answered.take() {
                trip.has_begun = true;
                (response, Made::first())
            } else {
                if !self.is_fit(place, trip) {
                    continue;
                }
                let is_last = turn + 1 == shared.count();
                let Some(made) = self.pay(is_last, trip) else {
                    return Ok(Turn::Failed);
                };
                let Some(response) = self.ask(place).await else {
                    continue;
                };
                (response?, made)
            };
            let response = classify_with(response, &shared.classify).await;
            let outcome = Outcome::of(&response).unwrap_or(Outcome::Success);
            if outcome == Outcome::Success {
                return Ok(Turn::Answered(Box::new(response), place));
            }
            trip.first.get_or_insert(outcome);
            if was_not_made(&response, outcome) {
                made.take_back(self.original.limit());
            }
            let is_open = outcome == Outcome::Refused(Refusal::CircuitOpen);
            all_open &= is_open;
            if is_open {
                let wait = response
                    .extensions()
                    .get::<Rejection>()
                    .and_then(|rejection| rejection.retry_after);
                advised = match (advised, wait) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
            let window = || shared.window(place, self.original.request(), Some(&response));
            let goes_on = shared.policy.goes_on(&mut trip.walk, outcome, window);
            tracing::debug!(
                place,
                outcome = outcome.as_str(),
                goes_on,
                "a target failed"
            );
            if let Some(rest) = trip.note(response, outcome, place, &shared) {
                drain(rest.into_body()).await;
            }
            if !goes_on {
                return Ok(Turn::Failed);
            }
        }
        Ok(if all_open {
            Turn::Open(advised)
        } else {
            Turn::Failed
        })
    }

    /// Whether the target at `place` can take the request.
    fn is_fit(&self, place: usize, trip: &Trip) -> bool {
        let endpoint = Endpoint::of(self.original.request());
        let serves = || {
            let target = self.shared.about(place);
            target.is_some_and(|target| target.serves_endpoint(endpoint))
        };
        (place == 0 || serves())
            && trip
                .walk
                .may_ask(|| self.shared.window(place, self.original.request(), None))
    }

    /// Pays for the next attempt; nothing for the first of all, and `None` where no more may be made.
    fn pay(&mut self, is_last: bool, trip: &mut Trip) -> Option<Made> {
        if !std::mem::replace(&mut trip.has_begun, true) {
            return Some(Made::first());
        }
        let is_late = self
            .original
            .deadline()
            .is_some_and(|deadline| deadline.remaining().is_zero());
        if is_late || !self.shared.is_enabled() {
            return None;
        }
        let paid = match &self.shared.budget {
            Some(budget) => Some(budget.withdraw()?),
            None => None,
        };
        let attempt = self
            .aside
            .take()
            .or_else(|| self.original.limit().set_aside())?;
        // Which of those that follow will be asked is not known yet.
        self.aside = if is_last {
            None
        } else {
            self.original.limit().set_aside()
        };
        if !std::mem::replace(&mut trip.fell_back, true) {
            self.shared.counters.fell_back();
        }
        if let Some(trail) = Trail::find(self.original.request().extensions()) {
            trail.fell_back();
        }
        // Not aside any more: those further in are to see whether another follows.
        attempt.spend();
        Some(Made::another(paid))
    }

    /// Asks the target at `place`, once it is ready; `None` where there is none to ask.
    async fn ask(&mut self, place: usize) -> Option<Result<Response<ResponseBody>, S::Error>> {
        let request = self.original.again();
        let Some(backup) = place.checked_sub(1) else {
            let primary = self.primary.as_mut()?;
            if let Err(error) = poll_fn(|cx| primary.poll_ready(cx)).await {
                return Some(Err(error));
            }
            return Some(primary.call(request).await);
        };
        let mut target = self.shared.backups.get(backup)?.clone();
        let Ok(()) = poll_fn(|cx| target.poll_ready(cx)).await;
        let Ok(response) = target.call(request).await;
        Some(Ok(response))
    }

    fn answer(
        &self,
        mut response: Response<ResponseBody>,
        start: usize,
        place: usize,
        trip: Trip,
    ) -> Response<ResponseBody> {
        if place != start && trip.first.is_some_and(Outcome::is_the_targets) {
            self.shared.sticky.set(place, Instant::now());
        }
        if trip.fell_back {
            tracing::debug!(place, attempts = trip.attempts.made(), "fell back");
            self.shared.counters.ended(true);
        }
        trip.attempts.note(&mut response);
        response
    }

    fn fail(&self, trip: Trip) -> Response<ResponseBody> {
        if trip.fell_back {
            tracing::debug!(attempts = trip.attempts.made(), "no target answered");
            self.shared.counters.ended(false);
        }
        let mut attempts = trip.attempts;
        let Some(mut kept) = trip.kept else {
            // Somebody is always asked; were it not so, no success must be made up.
            let message = "no upstream could be asked";
            let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message);
            return error.to_response(Endpoint::of(self.original.request()).dialect());
        };
        attempts.strike_out(kept.index);
        attempts.note(&mut kept.response);
        kept.response
    }
}

//! The way of one request.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
};

use http::{HeaderValue, Response};
use tokio::time::Instant;
use tower::ServiceExt;

use super::{
    layer::{Other, Shared},
    leg::{Leg, Settled, Watch},
};
use crate::{
    message::{Deadline, Outcome, Phase, ResponseBody, name_upstream},
    reserve::{Attempts, Original},
    stats::Latency,
    timer::Timer,
};

/// What it takes to make a second attempt.
pub(super) struct Race {
    pub(super) shared: Arc<Shared>,
    pub(super) original: Original,
    /// Which span of an answer is compared.
    pub(super) latency: Latency,
    pub(super) began: Instant,
}

/// A place among the second attempts under way.
struct Slot(Arc<Shared>);

/// How a race ended.
enum Ended<E> {
    First(Response<ResponseBody>),
    Second(Response<ResponseBody>),
    Neither(Result<Failed, E>, Box<Failed>),
}

type Failed = (Response<ResponseBody>, Outcome);

/// An attempt that is over, or was let go of.
struct Loser {
    response: Option<Response<ResponseBody>>,
    outcome: Outcome,
}

impl Race {
    /// Waits for the `first` attempt, and races a second one against it where it is slow.
    pub(super) async fn run<F, E>(self, first: F) -> Result<Response<ResponseBody>, E>
    where
        F: Future<Output = Result<Response<ResponseBody>, E>>,
    {
        let shared = Arc::clone(&self.shared);
        let watch = self.watch(&shared.name, self.began);
        let delay = shared.delay(watch.series(), self.latency);
        let mut timer = None;
        let first = pin!(first);
        let mut leg = Leg::new(first, watch, &shared.held);
        let early = poll_fn(|cx| {
            if let Poll::Ready(settled) = leg.poll(cx) {
                return Poll::Ready(Some(settled));
            }
            let due = || Timer::until(Deadline::after(delay).instant());
            ready!(timer.get_or_insert_with(due).poll(cx));
            Poll::Ready(None)
        });
        match early.await {
            Some(Ok(Settled::Won(response) | Settled::Failed(response, _))) => {
                return Ok(named(response, &shared.name, shared.header.as_ref()));
            }
            Some(Err(error)) => return Err(error),
            None => {}
        }
        if let Some((other, slot)) = self.second() {
            return self.race(leg, other, slot).await;
        }
        let response = poll_fn(|cx| leg.poll_head(cx)).await?;
        Ok(named(response, &shared.name, shared.header.as_ref()))
    }

    /// Where a second attempt is made, and the right to make it.
    fn second(&self) -> Option<(&Other, Slot)> {
        let shared = &self.shared;
        let counters = &shared.record.counters;
        let is_late = self
            .original
            .deadline()
            .is_some_and(|deadline| deadline.remaining().is_zero());
        if is_late || !shared.is_enabled() {
            return None;
        }
        let Some(other) = shared.other(self.original.request()) else {
            counters.nowhere.add();
            return None;
        };
        let Some(slot) = Slot::take(shared) else {
            counters.busy.add();
            return None;
        };
        let paid = shared.budget.withdraw();
        // In this order, so that a spent budget costs the request no attempt.
        let Some(paid) = paid.filter(|_| self.original.limit().take()) else {
            counters.unpaid.add();
            return None;
        };
        paid.spend();
        counters.hedged.add();
        tracing::debug!(other = &**other.target.name(), "a second attempt is made");
        Some((other, slot))
    }

    async fn race<F, E>(
        &self,
        mut first: Leg<Pin<&mut F>>,
        other: &Other,
        slot: Slot,
    ) -> Result<Response<ResponseBody>, E>
    where
        F: Future<Output = Result<Response<ResponseBody>, E>>,
    {
        let shared = &self.shared;
        let (name, other_name) = (&shared.name, other.target.name());
        let request = self.original.again();
        let watch = self.watch(other_name, Instant::now());
        let second = pin!(other.target.clone().oneshot(request));
        let mut second = Leg::new(second, watch, &shared.held);
        let (mut failed, mut other_failed) = (None, None);
        let ended = poll_fn(|cx| {
            if failed.is_none()
                && let Poll::Ready(settled) = first.poll(cx)
            {
                match settled {
                    Ok(Settled::Won(response)) => return Poll::Ready(Ended::First(response)),
                    Ok(Settled::Failed(response, outcome)) => {
                        failed = Some(Ok((response, outcome)));
                    }
                    Err(error) => failed = Some(Err(error)),
                }
            }
            if other_failed.is_none()
                && let Poll::Ready(Ok(settled)) = second.poll(cx)
            {
                match settled {
                    Settled::Won(response) => return Poll::Ready(Ended::Second(response)),
                    Settled::Failed(response, outcome) => other_failed = Some((response, outcome)),
                }
            }
            match (failed.take(), other_failed.take()) {
                (Some(failed), Some(other)) => Poll::Ready(Ended::Neither(failed, Box::new(other))),
                (one, other) => {
                    (failed, other_failed) = (one, other);
                    Poll::Pending
                }
            }
        });
        let ended = ended.await;
        drop(slot);
        let now = Instant::now();
        match ended {
            Ended::First(response) => {
                let loser = match other_failed {
                    Some((response, outcome)) => Loser::new(Some(response), outcome),
                    None => Loser::new(second.lose(now), Outcome::Cancelled),
                };
                let response = loser.noted_in(response, other_name);
                Ok(named(response, name, shared.header.as_ref()))
            }
            Ended::Second(response) => {
                shared.record.counters.won.add();
                if failed.is_some() {
                    shared.record.counters.saved.add();
                }
                let loser = match failed {
                    Some(Ok((response, outcome))) => Loser::new(Some(response), outcome),
                    Some(Err(_)) => Loser::new(None, Outcome::Transport { phase: Phase::Head }),
                    None => Loser::new(first.lose(now), Outcome::Cancelled),
                };
                let response = loser.noted_in(response, name);
                Ok(named(response, other_name, other.header.as_ref()))
            }
            // The primary's own answer, as of every layer that asks others.
            Ended::Neither(failed, other) => {
                let (other, outcome) = *other;
                let (response, _) = failed?;
                let response = Loser::new(Some(other), outcome).noted_in(response, other_name);
                Ok(named(response, name, shared.header.as_ref()))
            }
        }
    }

    fn watch(&self, target: &str, began: Instant) -> Watch {
        let model = self.original.request().body().model();
        let series = self.shared.series(target, model.as_deref().unwrap_or(""));
        Watch::new(series, self.latency, began)
    }
}

fn named(
    mut response: Response<ResponseBody>,
    name: &str,
    header: Option<&HeaderValue>,
) -> Response<ResponseBody> {
    name_upstream(&mut response, name, header);
    response
}

impl Loser {
    fn new(response: Option<Response<ResponseBody>>, outcome: Outcome) -> Self {
        Self { response, outcome }
    }

    /// Notes in the answer that there was another attempt, at `name` unless it says so itself.
    fn noted_in(
        self,
        mut response: Response<ResponseBody>,
        name: &Arc<str>,
    ) -> Response<ResponseBody> {
        let mut attempts = Attempts::default();
        let mut lost = self.response.unwrap_or_default();
        attempts.push_at(&mut lost, self.outcome, Some(name));
        attempts.note(&mut response);
        response
    }
}

impl Slot {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let under_way = &shared.record.counters.under_way;
        let is_taken = under_way.take(shared.max_hedges);
        is_taken.then(|| Self(Arc::clone(shared)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.record.counters.under_way.give_back();
    }
}

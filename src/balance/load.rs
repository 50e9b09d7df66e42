//! One request at one member, from when it is chosen to the end of the answer.

use std::{sync::Arc, time::Duration};

use http::Response;
use tokio::time::Instant;

use super::{
    layer::Shared,
    member::{Kind, Member},
};
use crate::message::{Completion, Outcome, ResponseBody};

/// A wait in vain that tells something of a member of which nothing else is known.
const TELLING: Duration = Duration::from_secs(1);

/// Counts as load until it is dropped, and tells the member what came of it.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    place: usize,
    /// `None` for one that says nothing of how long others take.
    kind: Option<Kind>,
    began: Instant,
    /// Whether nothing more is to be learned of it.
    is_judged: bool,
}

impl Load {
    pub(super) fn new(shared: Arc<Shared>, place: usize, kind: Option<Kind>, now: Instant) -> Self {
        if let Some(member) = shared.members.get(place) {
            member.enter(now, shared.decay);
        }
        Self {
            shared,
            place,
            kind,
            began: now,
            is_judged: kind.is_none(),
        }
    }

    pub(super) fn member(&self) -> Option<&Member> {
        self.shared.members.get(self.place)
    }

    /// Goes on with the body of an answer whose head means `outcome`.
    pub(super) fn answered(
        mut self,
        response: Response<ResponseBody>,
        outcome: Outcome,
    ) -> Response<ResponseBody> {
        if outcome != Outcome::Success {
            self.judge(outcome, Instant::now());
        }
        let Some(kind) = self.kind.filter(|_| !self.is_judged) else {
            return response.map(|body| body.on_end(move |_| drop(self)));
        };
        let (shared, place, began) = (Arc::clone(&self.shared), self.place, self.began);
        let first_token = move |at: Instant| {
            if let Some(member) = shared.members.get(place) {
                let span = at.saturating_duration_since(began);
                let mut measured = member.measured();
                measured.latency_mut(kind).observe(at, span, shared.decay);
                measured.health.note(at, true);
            }
        };
        response.map(|body| {
            body.on_first_token(first_token)
                .on_end(move |completion| self.ended(completion))
        })
    }

    /// The answer has ended.
    fn ended(mut self, completion: &Completion) {
        let outcome = Outcome::of_completion(completion, Outcome::Success);
        let now = completion.ended_at;
        if completion.first_token_at.is_some() {
            // That it answers was noted then.
            self.is_judged = true;
            if outcome != Outcome::Success {
                self.note(outcome, now);
            }
        } else if outcome == Outcome::Success {
            // Nobody can tell where its first token is.
            let at = completion.first_byte_at.unwrap_or(now);
            let span = at.saturating_duration_since(self.began);
            if let (Some(member), Some(kind)) = (self.member(), self.kind) {
                let mut measured = member.measured();
                let latency = measured.latency_mut(kind);
                latency.observe(now, span, self.shared.decay);
            }
            self.note(outcome, now);
        } else {
            self.judge(outcome, now);
        }
    }

    /// Says what came of it where there was no first token: the time until then is the least that one would have taken.
    fn judge(&mut self, outcome: Outcome, now: Instant) {
        if std::mem::replace(&mut self.is_judged, true) {
            return;
        }
        if outcome == Outcome::Cancelled || outcome.is_the_targets() {
            self.waited_in_vain(now);
        }
        self.note(outcome, now);
    }

    fn waited_in_vain(&self, now: Instant) {
        if let (Some(member), Some(kind)) = (self.member(), self.kind) {
            let span = now.saturating_duration_since(self.began);
            let mut measured = member.measured();
            let latency = measured.latency_mut(kind);
            // What fails at once, or is left at once, says nothing of how long an answer takes, and must not look as if it did.
            if span >= TELLING || latency.get(now, self.shared.decay).is_some() {
                latency.observe_at_least(now, span, self.shared.decay);
            }
        }
    }

    fn note(&mut self, outcome: Outcome, now: Instant) {
        self.is_judged = true;
        let is_good = match outcome {
            Outcome::Success => true,
            outcome if outcome.is_the_targets() => false,
            _ => return,
        };
        if let Some(member) = self.member() {
            member.measured().health.note(now, is_good);
        }
    }

    /// The service failed in its own way.
    pub(super) fn failed(mut self, outcome: Outcome) {
        self.judge(outcome, Instant::now());
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.is_judged {
            // Its caller has left before there was a head.
            self.judge(Outcome::Cancelled, Instant::now());
        }
        if let Some(member) = self.member() {
            member.leave();
        }
    }
}

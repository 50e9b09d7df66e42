//! From a request's ask to its place, at once or after a wait.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{ask::Ask, layer::Shared, learned::Sent, queue::Place, refusal::Denied, settle::Pass};
use crate::reserve::{Answer, Decision, Reservation, Verdict};

/// The shortest sleep before room is asked for again.
const MIN_SLEEP: Duration = Duration::from_millis(1);

/// What came of asking.
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and moved on at once"
)]
pub(super) enum Asked {
    Decided(Result<Pass, Denied>),
    /// The store is asked, or others stand in line.
    Waits,
}

impl Shared {
    /// Asks for room. Whoever may wait stands in line behind those who do already.
    pub(super) fn admit(self: &Arc<Self>, ask: &Ask) -> Asked {
        if !self.wait.is_zero() && self.queue.has(&ask.account) {
            return Asked::Waits;
        }
        if self.local.is_none() {
            return Asked::Waits;
        }
        match self.start(ask) {
            Err(denied) => self.denied(denied),
            Ok((sent, Answer::Now(Some(decision)))) => match self.decide(ask, sent, &decision) {
                Ok(pass) => Asked::Decided(Ok(pass)),
                Err(denied) => self.denied(denied),
            },
            Ok(_) => Asked::Waits,
        }
    }

    fn denied(&self, denied: Denied) -> Asked {
        if self.wait.is_zero() || denied.wait().is_none() {
            Asked::Decided(Err(denied))
        } else {
            Asked::Waits
        }
    }

    fn start(&self, ask: &Ask) -> Result<(Option<Sent>, Answer<Decision>), Denied> {
        let learned = self.learned.as_ref();
        let sent = learned.map(|learned| learned.take(&ask.account, ask.amounts, Instant::now()));
        let sent = sent.transpose().map_err(|wait| Denied::Held { wait })?;
        let answer = self.limiter.reserve(&ask.account, &ask.quota, ask.amounts);
        Ok((sent, answer))
    }

    fn decide(
        self: &Arc<Self>,
        ask: &Ask,
        sent: Option<Sent>,
        decision: &Decision,
    ) -> Result<Pass, Denied> {
        if let Some(denied) = Denied::by(decision) {
            return Err(denied);
        }
        let reservation = Reservation::new(
            Arc::clone(&self.limiter),
            ask.account.clone(),
            ask.quota.clone(),
            ask.amounts,
            decision.shared,
        );
        let shared = Arc::clone(self);
        Ok(Pass::new(shared, ask, reservation, decision.levels, sent))
    }

    /// Asks until there is room or the time is over. Dropping the future leaves the line.
    pub(super) async fn wait_for_room(self: Arc<Self>, ask: Arc<Ask>) -> Result<Pass, Denied> {
        let now = Instant::now();
        let mut until = now.checked_add(self.wait).unwrap_or(now);
        if let Some(deadline) = ask.deadline {
            until = until.min(deadline.instant());
        }
        let place = if self.wait.is_zero() {
            None
        } else {
            match self.queue.join(&ask.account) {
                Some(place) => Some(place),
                None => return Err(self.look(&ask).await),
            }
        };
        loop {
            if place.as_ref().is_none_or(Place::is_first) {
                let (sent, answer) = match self.start(&ask) {
                    Ok((sent, answer)) => (sent, Ok(answer)),
                    Err(denied) => (None, Err(denied)),
                };
                let denied = match answer {
                    Ok(answer) => match self.decide(&ask, sent, &answer.await) {
                        Ok(pass) => return Ok(pass),
                        Err(denied) => denied,
                    },
                    Err(denied) => denied,
                };
                let (Some(place), Some(wait)) = (&place, denied.wait()) else {
                    return Err(denied);
                };
                let now = Instant::now();
                if now >= until {
                    return Err(denied);
                }
                let next = now.checked_add(wait.max(MIN_SLEEP)).unwrap_or(until);
                // Something may be given back before.
                let _ = timeout_at(next.min(until), place.called()).await;
            } else if let Some(place) = &place
                && timeout_at(until, place.called()).await.is_err()
            {
                return Err(self.look(&ask).await);
            }
        }
    }

    /// Why there is no room, without taking any.
    async fn look(&self, ask: &Ask) -> Denied {
        let levels = self.limiter.levels(&ask.account, &ask.quota).await;
        let learned = self.learned.as_ref();
        if let Some(wait) =
            learned.and_then(|learned| learned.held(&ask.account, ask.amounts, Instant::now()))
        {
            return Denied::Held { wait };
        }
        let verdict = Decision::refused(&ask.quota, levels, ask.amounts).verdict;
        let levels = Box::new(levels);
        match verdict {
            Verdict::TooLarge { limit } => Denied::TooLarge { limit, levels },
            // Where there is room, those before this one will take it.
            Verdict::Full { wait, limit } => Denied::Full {
                wait: wait.max(MIN_SLEEP),
                limit,
                levels,
            },
            Verdict::Admitted => Denied::Full {
                wait: MIN_SLEEP,
                limit: 0,
                levels,
            },
        }
    }
}

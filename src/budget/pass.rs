//! From admission to settlement.

use std::sync::Arc;

use http::Response;

use super::{layer::Shared, notice::Notice, price::Estimate, shared::Stored, state::Ticket};
use crate::message::{
    Bill, Cached, Completion, Outcome, Phase, ResponseBody,
    catalog::{Cost, ModelInfo},
};

/// A request that was admitted. However it ends, it is settled once.
pub(super) struct Pass {
    /// `None` once it is settled, or left to the bill.
    held: Option<Held>,
    bill: Bill,
    /// What stood in the bill already: attempts, cost and those without a price.
    before: (u32, Cost, u32),
    prices: Option<Arc<ModelInfo>>,
    typical: Option<usize>,
    notice: Notice,
    /// What an attempt that no meter sees may have cost: nothing before it is sent, and nothing once it has failed.
    may_cost: bool,
}

/// What is reserved. Given back in full where it is dropped.
struct Held {
    shared: Arc<Shared>,
    hold: Option<Hold>,
}

/// Where it is reserved.
#[derive(Debug)]
pub(super) enum Hold {
    /// In this process.
    Books(Ticket),
    Store(Stored),
}

impl Hold {
    fn amount(&self) -> Cost {
        match self {
            Self::Books(ticket) => ticket.amount(),
            Self::Store(stored) => stored.amount(),
        }
    }
}

impl Held {
    fn settle(mut self, spent: Cost, unpriced: u64) {
        self.finish(spent, unpriced);
    }

    fn finish(&mut self, spent: Cost, unpriced: u64) {
        match self.hold.take() {
            Some(Hold::Books(ticket)) => {
                let now = self.shared.now();
                let warnings = self.shared.books().settle(now, &ticket, spent, unpriced);
                self.shared.warn(&warnings);
            }
            Some(Hold::Store(stored)) => stored.settle(&self.shared, spent, unpriced),
            None => {}
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Whoever was to settle it is gone, and with it every attempt.
        self.finish(Cost::ZERO, 0);
    }
}

impl Pass {
    pub(super) fn new(
        shared: &Arc<Shared>,
        hold: Hold,
        estimate: Estimate,
        bill: Bill,
        notice: Notice,
    ) -> Self {
        let held = Held {
            shared: Arc::clone(shared),
            hold: Some(hold),
        };
        Self {
            held: Some(held),
            before: (bill.attempts(), bill.cost(), bill.unpriced()),
            bill,
            prices: estimate.prices,
            typical: estimate.typical,
            notice,
            may_cost: false,
        }
    }

    /// The inner service works on it: it may cost something from now on.
    pub(super) fn sent(&mut self) {
        self.may_cost = true;
    }

    /// The inner service failed of itself, without an answer.
    pub(super) fn failed(mut self) {
        self.may_cost = false;
    }

    /// Settles when the answer has ended.
    pub(super) fn answered(
        mut self,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        if self.held.as_ref().is_some_and(|held| held.shared.headers) {
            self.notice.write(&mut response);
        }
        let is_cached = response.extensions().get::<Cached>().is_some();
        self.may_cost = !is_cached
            && matches!(
                Outcome::of_head(&response),
                Some(
                    Outcome::Success
                        | Outcome::Timeout { phase: Phase::Head }
                        | Outcome::Transport { phase: Phase::Head }
                )
            );
        response.map(|body| body.on_end(move |completion| self.ended(completion)))
    }

    fn ended(mut self, completion: &Completion) {
        let Some(held) = &self.held else { return };
        if let (Some(place), Some(usage), true) =
            (self.typical, completion.usage, completion.usage_is_final)
            && usage.total_output() > 0
        {
            held.shared.typical.learn(place, usage.total_output());
        }
        let unmetered = self.unmetered(Some(completion));
        self.settle(unmetered);
    }

    /// What is charged where no meter has seen an attempt, and how much of that has no price.
    fn unmetered(&self, completion: Option<&Completion>) -> (Cost, u64) {
        let nothing = (Cost::ZERO, 0);
        let Some(held) = &self.held else {
            return nothing;
        };
        if held.shared.metered || !self.may_cost {
            return nothing;
        }
        let reserved = held.hold.as_ref().map_or(Cost::ZERO, Hold::amount);
        let Some(completion) = completion else {
            return (reserved, 0);
        };
        let priced = completion.usage.and_then(|usage| {
            let prices = self.prices.as_ref()?.prices.as_ref()?;
            let tier = completion.service_tier.as_deref();
            prices.cost(&usage, tier, held.shared.now())
        });
        match completion.stated_cost.or(priced) {
            Some(cost) if completion.usage_is_final => (cost, 0),
            // It broke, was left, or does not say: no less than was reserved.
            Some(cost) => (cost.max(reserved), 0),
            None => (reserved, u64::from(self.prices.is_none())),
        }
    }

    /// Settles by the bill once its last attempt has ended, or by `unmetered` where it has none.
    fn settle(&mut self, unmetered: (Cost, u64)) {
        let Some(held) = self.held.take() else { return };
        let (attempts, cost, no_price) = self.before;
        self.bill.when_settled(move |bill| {
            let (spent, unpriced) = if bill.attempts() > attempts {
                let unpriced = bill.unpriced().saturating_sub(no_price);
                (bill.cost().saturating_sub(cost), unpriced.into())
            } else {
                unmetered
            };
            held.settle(spent, unpriced);
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let unmetered = self.unmetered(None);
        self.settle(unmetered);
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass")
            .field("may_cost", &self.may_cost)
            .finish_non_exhaustive()
    }
}

//! What is left to the worker.

use std::{future::Future, pin::Pin};

use ::redis::{Pipeline, RedisResult};

use super::{
    counters::Counters,
    scripts::{self, Scripts},
};
use crate::reserve::{Amounts, Charge, Quota};

pub(super) type Reply = Pin<Box<dyn Future<Output = RedisResult<Vec<u8>>> + Send>>;

pub(super) enum Job {
    Tell(Told),
    /// Nobody waits for this answer any more: if it took something, that goes back.
    Unanswered(Reply, Told),
}

/// What the server is told, at most once.
#[derive(Debug)]
pub(super) enum Told {
    Limits(Settle),
    /// A charge, with the keys of its accounts.
    Budgets(Vec<String>, Charge),
}

/// A settlement on its way.
#[derive(Debug)]
pub(super) struct Settle {
    pub(super) key: String,
    pub(super) quota: Quota,
    pub(super) reserved: Amounts,
    pub(super) used: Amounts,
}

impl Told {
    /// Whether there is anything to give back where the answer to what reserved it is lost.
    pub(super) fn gives_back(&self) -> bool {
        match self {
            Self::Limits(settle) => settle.reserved != Amounts::NONE,
            Self::Budgets(_, charge) => charge.reserved.pico_usd() > 0,
        }
    }

    /// The same once the answer is there, where that shows that something was reserved.
    pub(super) fn once_reserved(mut self, answer: &[u8]) -> Option<Self> {
        let was_taken = match &mut self {
            Self::Limits(settle) => scripts::read_reserved(&settle.quota, answer)?.is_admitted,
            Self::Budgets(keys, charge) => {
                let taken = scripts::read_budgets(keys.len(), answer)?;
                charge.lease = Some(taken.lease);
                taken.is_admitted
            }
        };
        was_taken.then_some(self)
    }

    pub(super) fn add_to(&self, pipeline: &mut Pipeline, scripts: &Scripts) {
        pipeline.invoke_script(&match self {
            Self::Limits(settle) => scripts.settle(settle),
            Self::Budgets(keys, charge) => scripts.settle_budgets(keys, charge),
        });
    }

    pub(super) fn answered(self, answer: &[u8], counters: &Counters) {
        match self {
            Self::Limits(settle) => {
                let forgiven = scripts::read_settled(&settle.quota, answer);
                counters.forgiven.add(forgiven);
            }
            Self::Budgets(_, charge) => (charge.told)(scripts::read_balances(answer)),
        }
    }
}

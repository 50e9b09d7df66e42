//! What the server is asked to do, and what it answers.

use std::fmt::Write;

use ::redis::{RedisResult, Script, ScriptInvocation, aio::ConnectionManager};

use super::jobs::Settle;
use crate::{
    message::catalog::Cost,
    reserve::{Amounts, Balance, Charge, Claim, Levels, Limit, Quota},
};

/// The bytes of a number, as the scripts read and write it.
const NUMBER: usize = 18;

/// One script to reserve and one to settle, each for all limits at once; and the same for all budgets of a request.
pub(super) struct Scripts {
    reserve: Script,
    settle: Script,
    reserve_budgets: Script,
    settle_budgets: Script,
}

/// What was asked of budgets: reserved of all or of none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OfBudgets {
    pub(super) is_admitted: bool,
    pub(super) lease: u64,
    pub(super) balances: Vec<Balance>,
}

/// A reservation that was asked for: everything was taken or nothing, and the levels after that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) is_admitted: bool,
    pub(super) levels: Levels,
}

impl Default for Scripts {
    fn default() -> Self {
        Self::edited(str::to_owned)
    }
}

impl Scripts {
    fn edited(edit: impl Fn(&str) -> String) -> Self {
        macro_rules! script {
            ($($part:literal),*) => {
                Script::new(&edit(concat!(include_str!("numbers.lua"), $(include_str!($part)),*)))
            };
        }
        Self {
            reserve: script!("buckets.lua", "reserve.lua"),
            settle: script!("buckets.lua", "settle.lua"),
            reserve_budgets: script!("budgets.lua", "budget_reserve.lua"),
            settle_budgets: script!("budgets.lua", "budget_settle.lua"),
        }
    }

    /// The same with another clock: what `TIME` would answer is read from two keys.
    #[cfg(test)]
    pub(super) fn with_fake_clock() -> Self {
        Self::edited(|script| {
            let edited = script.replace("redis.call('TIME')", "redis.call('MGET', 's', 'us')");
            assert_ne!(edited, script);
            edited
        })
    }

    pub(super) fn reserve(
        &self,
        key: &str,
        quota: &Quota,
        amounts: Amounts,
    ) -> ScriptInvocation<'_> {
        let mut call = self.reserve.key(key);
        for limit in quota.limits() {
            let ask = amounts.get(limit.dimension());
            let numbers = [rate(limit), limit.cost(limit.burst()), limit.cost(ask)];
            call.arg(field(limit)).arg(numbers.map(bytes).concat());
        }
        call
    }

    /// Makes the server know how to settle.
    pub(super) async fn load_settle(&self, connection: &mut ConnectionManager) -> RedisResult<()> {
        self.settle.load_async(connection).await?;
        self.settle_budgets.load_async(connection).await.map(drop)
    }

    pub(super) fn settle(&self, settle: &Settle) -> ScriptInvocation<'_> {
        let mut call = self.settle.key(settle.key.as_str());
        for limit in settle.quota.limits() {
            let reserved = settle.reserved.get(limit.dimension());
            let used = settle.used.get(limit.dimension());
            let floor = limit.cost(limit.burst());
            let numbers = [
                rate(limit),
                limit.cost(reserved.saturating_sub(used)),
                limit.cost(used.saturating_sub(reserved)),
                floor.saturating_add(limit.cost(limit.debt())),
                limit.cost(1),
            ];
            call.arg(field(limit)).arg(numbers.map(bytes).concat());
        }
        call
    }

    pub(super) fn reserve_budgets(
        &self,
        keys: &[String],
        claims: &[Claim],
        amount: Option<Cost>,
    ) -> ScriptInvocation<'_> {
        let mut call = self.reserve_budgets.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        call.arg(number_or_nothing(amount));
        for claim in claims {
            call.arg(number_or_nothing(claim.limit)).arg(claim.ends);
        }
        call
    }

    pub(super) fn settle_budgets(&self, keys: &[String], charge: &Charge) -> ScriptInvocation<'_> {
        let mut call = self.settle_budgets.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        call.arg(
            charge
                .lease
                .map_or(String::new(), |lease| lease.to_string()),
        )
        .arg(&bytes(charge.reserved.pico_usd())[..])
        .arg(number_or_nothing(charge.spent))
        .arg(charge.unpriced);
        for claim in &*charge.claims {
            call.arg(claim.ends);
        }
        call
    }
}

fn number_or_nothing(cost: Option<Cost>) -> Vec<u8> {
    cost.map_or(Vec::new(), |cost| bytes(cost.pico_usd()).to_vec())
}

/// What flows back in a microsecond, which is the resolution of the server's clock.
fn rate(limit: &Limit) -> u128 {
    limit.clock(1_000)
}

/// The name of a limit in its account, by what makes one [continue](Limit::continues) another.
fn field(limit: &Limit) -> String {
    let mut name = limit.dimension().as_str().to_owned();
    // Writing to a string cannot fail.
    let _ = write!(name, ":{}ns", limit.window().as_nanos());
    name
}

fn bytes(number: u128) -> [u8; NUMBER] {
    let mut bytes = [0; NUMBER];
    for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    bytes
}

fn number(bytes: &[u8]) -> u128 {
    let (low, high) = bytes.split_at_checked(16).unwrap_or((bytes, &[]));
    if high.iter().any(|byte| *byte > 0) {
        return u128::MAX;
    }
    low.iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// What the answer to a reservation says; `None` where it is none.
pub(super) fn read_reserved(quota: &Quota, answer: &[u8]) -> Option<Taken> {
    let (verdict, backlogs) = answer.split_first()?;
    if backlogs.len() != quota.limits().len() * NUMBER {
        return None;
    }
    let is_admitted = match verdict {
        b'1' => true,
        b'0' => false,
        _ => return None,
    };
    let levels = Levels::new(backlogs.chunks(NUMBER).map(number));
    Some(Taken {
        is_admitted,
        levels,
    })
}

/// What the answer to a reservation of so many accounts of budgets says; `None` where it is none.
pub(super) fn read_budgets(accounts: usize, answer: &[u8]) -> Option<OfBudgets> {
    let (verdict, rest) = answer.split_first()?;
    let (lease, balances) = rest.split_first_chunk()?;
    let balances = read_balances(balances);
    let is_admitted = match verdict {
        b'1' => true,
        b'0' => false,
        _ => return None,
    };
    (balances.len() == accounts).then(|| OfBudgets {
        is_admitted,
        lease: u64::from_le_bytes(*lease),
        balances,
    })
}

/// What is on each account.
pub(super) fn read_balances(answer: &[u8]) -> Vec<Balance> {
    let (balances, _) = answer.as_chunks::<{ 2 * NUMBER + 8 }>();
    let balance = |bytes: &[u8; 2 * NUMBER + 8]| {
        let (spent, rest) = bytes.split_at(NUMBER);
        let (reserved, unpriced) = rest.split_at(NUMBER);
        Balance {
            spent: Cost::from_pico_usd(number(spent)),
            reserved: Cost::from_pico_usd(number(reserved)),
            unpriced: u64::try_from(number(unpriced)).unwrap_or(u64::MAX),
        }
    };
    balances.iter().map(balance).collect()
}

/// What was forgiven, of all limits together, by the answer to a settlement.
pub(super) fn read_settled(quota: &Quota, answer: &[u8]) -> u64 {
    let forgiven = quota.limits().iter().zip(answer.chunks(NUMBER));
    let forgiven = forgiven.map(|(limit, bytes)| number(bytes) / limit.cost(1));
    u64::try_from(forgiven.sum::<u128>()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_that_is_none_is_not_read() {
        let quota = Quota::per_minute(1, 1).unwrap();
        let good = [&b"1"[..], &bytes(7), &bytes(9)].concat();
        assert!(read_reserved(&quota, &good).unwrap().is_admitted);
        for wrong in [&b""[..], b"1", b"OK", &good[..36], &good[1..]] {
            assert_eq!(read_reserved(&quota, wrong), None);
        }
        assert_eq!(read_settled(&quota, b"OK"), 0);
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(value in any::<u128>()) {
            prop_assert_eq!(number(&bytes(value)), value);
        }
    }
}

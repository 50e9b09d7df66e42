//! What the server is asked to do, and what it answers.

use std::fmt::Write;

use ::redis::{RedisResult, Script, ScriptInvocation, aio::ConnectionManager};

use crate::reserve::{Amounts, Levels, Limit, Quota};

/// The bytes of a number, as the scripts read and write it.
const NUMBER: usize = 18;

/// One script to reserve and one to settle, each for all limits at once.
pub(super) struct Scripts {
    reserve: Script,
    settle: Script,
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
        let reserve = concat!(include_str!("buckets.lua"), include_str!("reserve.lua"));
        let settle = concat!(include_str!("buckets.lua"), include_str!("settle.lua"));
        Self {
            reserve: Script::new(&edit(reserve)),
            settle: Script::new(&edit(settle)),
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
        self.settle.load_async(connection).await.map(drop)
    }

    pub(super) fn settle(
        &self,
        key: &str,
        quota: &Quota,
        reserved: Amounts,
        used: Amounts,
    ) -> ScriptInvocation<'_> {
        let mut call = self.settle.key(key);
        for limit in quota.limits() {
            let reserved = reserved.get(limit.dimension());
            let used = used.get(limit.dimension());
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

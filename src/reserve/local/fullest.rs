//! Who has used the most of their limits.

use std::cmp::Reverse;

use super::{Levels, LocalLimiter, lock};
use crate::{key::Key, reserve::Level};

impl LocalLimiter {
    /// The keys that have used the largest share of one of their limits, at most so many, with the levels of all of these, the fullest first.
    /// Those whose buckets are full are left out.
    ///
    /// For people to look at: it goes through all keys, shard by shard.
    pub fn fullest(&self, most: usize) -> Vec<(Key, Vec<Level>)> {
        let now = self.now();
        let mut found = Vec::new();
        for shard in &self.shards {
            for (account, entry) in &lock(shard).entries {
                let mut levels = Levels::default();
                entry.write_levels(now, &mut levels);
                let used = levels.of(&entry.quota).map(|level| share(&level)).max();
                if let Some(used) = used.filter(|used| *used > 0) {
                    found.push((used, account.key().clone(), entry.quota.clone(), levels));
                }
            }
            // So that what is held is bounded by what is asked for.
            if found.len() > most.saturating_mul(4) {
                keep(&mut found, most);
            }
        }
        keep(&mut found, most);
        let shown = found.into_iter();
        shown
            .map(|(_, key, quota, levels)| (key, levels.of(&quota).collect()))
            .collect()
    }
}

fn keep<T, U>(found: &mut Vec<(u64, Key, T, U)>, most: usize) {
    found.sort_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
    found.truncate(most);
}

/// What is used of the burst, in thousandths.
fn share(level: &Level) -> u64 {
    let used = u128::from(level.used) * 1000 / u128::from(level.limit.burst().max(1));
    u64::try_from(used).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reserve::{Account, Amounts, Limiter, Quota};

    #[tokio::test(start_paused = true)]
    async fn those_who_have_used_the_most_come_first_and_those_who_have_used_nothing_are_not_there()
    {
        let limiter = LocalLimiter::default();
        let quota = Quota::per_minute(10, 1000).unwrap();
        for (name, tokens) in [("a", 100), ("b", 900), ("c", 500)] {
            let account = Account::new(Key::named("tenant", name));
            let amounts = Amounts::request().with_tokens(tokens, 0);
            let _ = limiter.reserve(&account, &quota, amounts).await;
        }
        let names = |most| {
            let fullest = limiter.fullest(most).into_iter();
            fullest.map(|(key, _)| key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(2), ["tenant:b", "tenant:c"]);
        assert_eq!(names(9), ["tenant:b", "tenant:c", "tenant:a"]);
        assert_eq!(limiter.fullest(1)[0].1[1].used, 900);
        tokio::time::advance(std::time::Duration::from_secs(120)).await;
        assert!(names(9).is_empty());
    }
}

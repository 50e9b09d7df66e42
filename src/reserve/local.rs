//! The store in this process.

mod fullest;
mod shard;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::Instant;

use self::shard::{Entry, Shard};
use super::{
    Account, Amounts, Answer, Bucket, Decision, Levels, Limit, Limiter, Place, Quota, Settlement,
};
use crate::key::Key;

/// So many shards, each with its lock: two requests meet at one only if their keys do.
const SHARDS: usize = 64;

/// Buckets in this process, for a bounded number of keys.
///
/// When there are as many keys as there may be, a new one takes the place of one whose buckets are full again: forgetting that loses
/// nothing. Where none is found (32 are looked at each time, in turn) the new key shares one set of buckets with all others that find no
/// room. So a caller with a new key for each request harms no one who is known already, and the memory is bounded: less than 500 bytes
/// a key.
///
/// A request locks the one shard that its key is in, for the few additions of its buckets; nothing is called, allocated or waited for
/// under the lock, but that a new key is added. One lock rather than an atomic for each bucket is what makes all dimensions one step: no
/// admission is ever seen half done, and so none has to be undone.
#[derive(Debug)]
pub struct LocalLimiter {
    start: Instant,
    shards: Box<[Mutex<Shard>]>,
    max_keys: usize,
    overflow: Mutex<Entry>,
    overflowed: AtomicU64,
    forgiven: AtomicU64,
}

impl LocalLimiter {
    /// How many keys have buckets of their own by default.
    pub const MAX_KEYS: usize = 100_000;

    /// A store of at most `max_keys` keys, in as many shards as make a few each.
    pub fn new(max_keys: usize) -> Self {
        // A power of two, so that a mask finds one.
        let shards = SHARDS.min(max_keys.div_ceil(16)).next_power_of_two();
        let shard = |index| {
            // Whatever does not divide goes to the first ones.
            let max = max_keys / shards + usize::from(index < max_keys % shards);
            Mutex::new(Shard::new(max))
        };
        Self {
            start: Instant::now(),
            shards: (0..shards).map(shard).collect(),
            max_keys,
            overflow: Mutex::new(Entry::new(&Quota::default())),
            overflowed: AtomicU64::new(0),
            forgiven: AtomicU64::new(0),
        }
    }

    /// How many keys may have buckets of their own.
    pub fn max_keys(&self) -> usize {
        self.max_keys
    }

    /// The keys that have buckets of their own, in no order.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            keys.extend(lock(shard).ring.iter().map(|account| account.key().clone()));
        }
        keys
    }

    /// The quota by which `account` was last counted, if it has buckets of its own.
    pub fn quota(&self, account: &Account) -> Option<Quota> {
        let shard = self.shard(account)?;
        Some(shard.entries.get(account)?.quota.clone())
    }

    /// How often a key had to share, because there was no room for it.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// How much was used beyond what may be owed, of all dimensions together.
    pub fn forgiven(&self) -> u64 {
        self.forgiven.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        let since = Instant::now().saturating_duration_since(self.start);
        since
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(since.subsec_nanos()))
    }

    fn shard(&self, account: &Account) -> Option<MutexGuard<'_, Shard>> {
        // The map takes the low bits and the top seven; these are in between.
        let index = usize::try_from((account.hash_code() >> 32) & 0xffff).unwrap_or(0);
        self.shards.get(index & (self.shards.len() - 1)).map(lock)
    }

    /// Does `change` with the buckets of `account`, which are made if there are none; says whether they are the shared ones.
    fn with<T>(
        &self,
        account: &Account,
        quota: &Quota,
        now: u64,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> (T, bool) {
        let Some(mut shard) = self.shard(account) else {
            return (change(&mut lock(&self.overflow)), true);
        };
        if let Some(entry) = shard.entries.get_mut(account) {
            entry.go_by(quota, now);
            return (change(entry), false);
        }
        if let Some(entry) = shard.add(account, quota, now) {
            return (change(entry), false);
        }
        drop(shard);
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        (self.with_shared(quota, now, change), true)
    }

    fn with_shared<T>(&self, quota: &Quota, now: u64, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entry = lock(&self.overflow);
        entry.go_by(quota, now);
        change(&mut entry)
    }
}

impl Default for LocalLimiter {
    fn default() -> Self {
        Self::new(Self::MAX_KEYS)
    }
}

impl Limiter for LocalLimiter {
    fn reserve(&self, account: &Account, quota: &Quota, amounts: Amounts) -> Answer<Decision> {
        let now = self.now();
        // Filled in place: it is large, and would be moved from hand to hand.
        let mut decision = Decision::admitted(Levels::default());
        let (is_admitted, shared) = self.with(account, quota, now, |entry| {
            let is_admitted = entry.take(now, amounts);
            entry.write_levels(now, &mut decision.levels);
            is_admitted
        });
        if !is_admitted {
            decision = Decision::refused(quota, decision.levels, amounts);
        }
        if shared {
            decision.place = Place::Shared;
        }
        Answer::now(decision)
    }

    fn settle(&self, settlement: &Settlement<'_>) {
        let Settlement { account, quota, .. } = *settlement;
        let (reserved, used) = (settlement.reserved, settlement.used);
        let now = self.now();
        let forgiven = if settlement.place == Place::Shared {
            self.with_shared(quota, now, |entry| entry.settle(now, reserved, used))
        } else {
            let owes = || {
                let mut counted = quota.limits().iter().map(Limit::dimension);
                counted.any(|dimension| used.get(dimension) > reserved.get(dimension))
            };
            let Some(mut shard) = self.shard(account) else {
                return;
            };
            match shard.entries.get_mut(account) {
                Some(entry) => entry.settle(now, reserved, used),
                // It was full again and is forgotten: there is nothing to give back to it.
                None if !owes() => 0,
                None => {
                    drop(shard);
                    self.with(account, quota, now, |entry| {
                        entry.settle(now, reserved, used)
                    })
                    .0
                }
            }
        };
        if forgiven > 0 {
            self.forgiven.fetch_add(forgiven, Ordering::Relaxed);
        }
    }

    fn levels(&self, account: &Account, quota: &Quota) -> Answer<Levels> {
        let now = self.now();
        // Looking changes nothing, by whatever quota: the buckets stay those of the quota that requests go by.
        let levels = self.shard(account).and_then(|shard| {
            let entry = shard.entries.get(account)?;
            let used = |limit| {
                let used = entry.of(limit);
                used.map_or(0, |(old, bucket)| bucket.backlog(old, now))
            };
            Some(Levels::new(quota.limits().iter().map(used)))
        });
        Answer::now(levels.unwrap_or_default())
    }

    fn reset(&self, account: &Account) -> Answer<()> {
        if let Some(mut shard) = self.shard(account)
            && let Some(entry) = shard.entries.get_mut(account)
        {
            entry.buckets.fill(Bucket::default());
        }
        Answer::now(())
    }
}

/// A thread that panicked under a lock left numbers, which are as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

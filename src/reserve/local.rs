//! The store in this process.

mod fullest;

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::{
    Account, Amounts, Answer, Bucket, Decision, Levels, Limit, Limiter, Place, Quota, Settlement,
    Verdict,
};
use crate::key::Key;

/// So many shards, each with its lock: two requests meet at one only if their keys do.
const SHARDS: usize = 64;
/// So many keys are looked at for one that may go, before a new key is told to share.
const LOOKED_AT: usize = 32;

/// Buckets in this process, for a bounded number of keys.
///
/// When there are as many keys as there may be, a new one takes the place of one whose buckets are full again: forgetting that loses
/// nothing. Where none is found (32 are looked at each time, in turn) the new key shares one set of buckets with all others that find no
/// room. So a caller with a new key for each request harms no one who is known already, and the memory is bounded: some 300 bytes
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

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Account, Entry, BuildHasherDefault<Prehashed>>,
    /// The same keys, to go around in.
    ring: Vec<Account>,
    hand: usize,
    max: usize,
}

/// The buckets of a key, in the order of its quota's limits.
#[derive(Debug)]
struct Entry {
    quota: Quota,
    buckets: Box<[Bucket]>,
}

/// Takes the hash that an [`Account`] brings.
#[derive(Debug, Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
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
            Mutex::new(Shard {
                max,
                ..Shard::default()
            })
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

impl Shard {
    /// The buckets of a key that has none, if there is room or some other key's are full.
    fn add(&mut self, account: &Account, quota: &Quota, now: u64) -> Option<&mut Entry> {
        if self.ring.len() < self.max {
            self.ring.push(account.clone());
        } else {
            let place = self.free_place(now)?;
            *self.ring.get_mut(place)? = account.clone();
        }
        let entry = self.entries.entry(account.clone());
        Some(entry.or_insert_with(|| Entry::new(quota)))
    }

    /// Forgets a key whose buckets are full, and says what its place in the ring is.
    fn free_place(&mut self, now: u64) -> Option<usize> {
        for _ in 0..LOOKED_AT.min(self.ring.len()) {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.ring.len();
            let account = self.ring.get(place)?;
            if self.entries.get(account)?.is_full(now) {
                self.entries.remove(account);
                return Some(place);
            }
        }
        None
    }
}

impl Entry {
    fn new(quota: &Quota) -> Self {
        Self {
            buckets: vec![Bucket::default(); quota.limits().len()].into(),
            quota: quota.clone(),
        }
    }

    /// Goes on with another quota: what is used of a limit stays used where the other has one for the same dimension and window.
    fn go_by(&mut self, quota: &Quota, now: u64) {
        if self.quota.is(quota) {
            return;
        }
        if self.quota != *quota {
            let used = |limit| {
                let (old, bucket) = self.of(limit)?;
                Some(Bucket::with_backlog(limit, now, bucket.backlog(old, now)))
            };
            let limits = quota.limits().iter();
            self.buckets = limits
                .map(|limit| used(limit).unwrap_or_default())
                .collect();
        }
        self.quota = quota.clone();
    }

    /// The limit that `limit` continues, and its bucket.
    fn of(&self, limit: &Limit) -> Option<(&Limit, &Bucket)> {
        let mut pairs = self.quota.limits().iter().zip(&*self.buckets);
        pairs.find(|(own, _)| own.continues(limit))
    }

    fn is_full(&self, now: u64) -> bool {
        let mut pairs = self.quota.limits().iter().zip(&*self.buckets);
        pairs.all(|(limit, bucket)| bucket.is_full(limit, now))
    }

    fn take(&mut self, now: u64, amounts: Amounts) -> bool {
        let limits = self.quota.limits();
        let mut pairs = limits.iter().zip(&*self.buckets);
        let is_there =
            pairs.all(|(limit, bucket)| bucket.has(limit, now, amounts.get(limit.dimension())));
        if is_there {
            for (limit, bucket) in limits.iter().zip(&mut *self.buckets) {
                bucket.take(limit, now, amounts.get(limit.dimension()));
            }
        }
        is_there
    }

    /// What had to be forgiven.
    fn settle(&mut self, now: u64, reserved: Amounts, used: Amounts) -> u64 {
        let mut forgiven: u64 = 0;
        for (limit, bucket) in self.quota.limits().iter().zip(&mut *self.buckets) {
            let reserved = reserved.get(limit.dimension());
            let used = used.get(limit.dimension());
            if used > reserved {
                forgiven = forgiven.saturating_add(bucket.charge(limit, now, used - reserved));
            } else {
                bucket.give_back(limit, reserved - used);
            }
        }
        forgiven
    }

    fn write_levels(&self, now: u64, levels: &mut Levels) {
        let pairs = self.quota.limits().iter().zip(&*self.buckets);
        levels.set(pairs.map(|(limit, bucket)| bucket.backlog(limit, now)));
    }
}

/// A thread that panicked under a lock left numbers, which are as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Decision {
    /// Whether everything was taken.
    pub fn is_admitted(&self) -> bool {
        self.verdict == Verdict::Admitted
    }
}

#[cfg(test)]
mod tests;

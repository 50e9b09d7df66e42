//! The keys that share a lock, and their buckets.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::reserve::{Account, Amounts, Bucket, Levels, Limit, Quota};

/// So many keys are looked at for one that may go, before a new key is told to share.
const LOOKED_AT: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) entries: HashMap<Account, Entry, BuildHasherDefault<Prehashed>>,
    /// The same keys, to go around in.
    pub(super) ring: Vec<Account>,
    hand: usize,
    max: usize,
}

/// The buckets of a key, in the order of its quota's limits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) quota: Quota,
    pub(super) buckets: Box<[Bucket]>,
}

/// Takes the hash that an [`Account`] brings.
#[derive(Debug, Default)]
pub(super) struct Prehashed(u64);

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

impl Shard {
    /// One for so many keys.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            ..Self::default()
        }
    }

    /// The buckets of a key that has none, if there is room or some other key's are full.
    pub(super) fn add(&mut self, account: &Account, quota: &Quota, now: u64) -> Option<&mut Entry> {
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
    pub(super) fn new(quota: &Quota) -> Self {
        Self {
            buckets: vec![Bucket::default(); quota.limits().len()].into(),
            quota: quota.clone(),
        }
    }

    /// Goes on with another quota: what is used of a limit stays used where the other has one for the same dimension and window.
    pub(super) fn go_by(&mut self, quota: &Quota, now: u64) {
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
    pub(super) fn of(&self, limit: &Limit) -> Option<(&Limit, &Bucket)> {
        let mut pairs = self.quota.limits().iter().zip(&*self.buckets);
        pairs.find(|(own, _)| own.continues(limit))
    }

    pub(super) fn is_full(&self, now: u64) -> bool {
        let mut pairs = self.quota.limits().iter().zip(&*self.buckets);
        pairs.all(|(limit, bucket)| bucket.is_full(limit, now))
    }

    pub(super) fn take(&mut self, now: u64, amounts: Amounts) -> bool {
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
    pub(super) fn settle(&mut self, now: u64, reserved: Amounts, used: Amounts) -> u64 {
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

    pub(super) fn write_levels(&self, now: u64, levels: &mut Levels) {
        let pairs = self.quota.limits().iter().zip(&*self.buckets);
        levels.set(pairs.map(|(limit, bucket)| bucket.backlog(limit, now)));
    }
}

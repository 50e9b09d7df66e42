//! Answers in the memory of this process.

use std::{fmt, time::Duration};

use moka::{Expiry, sync::Cache};

use super::{CacheKey, CacheStore, Entry, Purge};
use crate::reserve::Answer;

/// Keeps answers in the memory of this process, up to a weight in bytes: those that were not asked for lately make room for those that are.
///
/// That a newcomer is kept at all is not certain in a full cache: it must be asked for more often than what would have to go for it.
#[derive(Clone)]
pub struct MemoryStore {
    cache: Cache<[u8; 32], Slot>,
}

/// An answer with its own key and time.
#[derive(Clone)]
struct Slot {
    key: CacheKey,
    entry: Entry,
    keep: Duration,
}

impl MemoryStore {
    /// A store of at most `bytes`, each answer counted with what it takes beside its body.
    pub fn new(bytes: u64) -> Self {
        let weigh = |_: &[u8; 32], slot: &Slot| {
            let weight = slot.entry.weight() + slot.key.model().len() as u64;
            u32::try_from(weight).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            .expire_after(Each)
            .support_invalidation_closures()
            .build();
        Self { cache }
    }
}

impl CacheStore for MemoryStore {
    fn get(&self, key: &CacheKey) -> Answer<Option<Entry>> {
        Answer::now(self.cache.get(key.digest()).map(|slot| slot.entry))
    }

    fn put(&self, key: &CacheKey, entry: Entry, keep: Duration) {
        let slot = Slot {
            key: key.clone(),
            entry,
            keep,
        };
        self.cache.insert(*key.digest(), slot);
    }

    fn purge(&self, purge: &Purge) -> Answer<()> {
        match purge {
            Purge::All => self.cache.invalidate_all(),
            Purge::Key(key) => self.cache.invalidate(key.digest()),
            Purge::Scope(_) | Purge::Model(_) => {
                let purge = purge.clone();
                let taken = self
                    .cache
                    .invalidate_entries_if(move |_, slot| purge.takes(&slot.key));
                if let Err(error) = taken {
                    tracing::error!(%error, "nothing was purged");
                }
            }
        }
        Answer::now(())
    }

    fn size(&self) -> Option<(u64, u64)> {
        self.cache.run_pending_tasks();
        Some((self.cache.entry_count(), self.cache.weighted_size()))
    }
}

/// Answers go when their own time is over.
struct Each;

impl Expiry<[u8; 32], Slot> for Each {
    #[allow(
        clippy::disallowed_types,
        reason = "what moka hands over; it is not read"
    )]
    fn expire_after_create(
        &self,
        _: &[u8; 32],
        slot: &Slot,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(slot.keep)
    }

    #[allow(
        clippy::disallowed_types,
        reason = "what moka hands over; it is not read"
    )]
    fn expire_after_update(
        &self,
        _: &[u8; 32],
        slot: &Slot,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(slot.keep)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("answers", &self.cache.entry_count())
            .field("bytes", &self.cache.weighted_size())
            .field("max_bytes", &self.cache.policy().max_capacity())
            .finish()
    }
}

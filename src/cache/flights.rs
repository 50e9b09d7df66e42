//! The calls under way, by what they ask.

use std::{
    array,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{CacheKey, flight::Flight, layer::Shared, member::Member};
use crate::message::Bill;

const SHARDS: usize = 16;

/// The calls that others may join.
pub(super) struct Flights {
    shards: [Shard; SHARDS],
}

#[derive(Default)]
struct Shard {
    flights: Mutex<HashMap<Name, Arc<Flight>>>,
    /// How many have ended.
    landed: AtomicU64,
}

/// What is asked for: the key's digest, and whether as a stream.
type Name = ([u8; 32], bool);

/// What comes of a request whose answer is not kept.
pub(super) enum Entered {
    /// It asks, for all who come after.
    Leads(Arc<Flight>, Member),
    Follows(Member),
    /// It asks for itself alone.
    Alone,
    /// A call has ended since the store was asked: what it brought may be there.
    LookAgain,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            shards: array::from_fn(|_| Shard::default()),
        }
    }
}

impl Flights {
    /// How many calls near `key` have ended: to be read before the store is asked.
    pub(super) fn landed(&self, key: &CacheKey) -> u64 {
        self.shard(key)
            .map_or(0, |shard| shard.landed.load(Ordering::Acquire))
    }

    /// Joins the call under way for `key`, or begins it. What was purged meanwhile is not shared, nor asked for by many at once.
    pub(super) fn enter(
        &self,
        shared: &Arc<Shared>,
        key: &CacheKey,
        (landed, is_stream): (u64, bool),
        bill: impl FnOnce() -> Option<Bill>,
    ) -> Entered {
        let Some(shard) = self.shard(key) else {
            return Entered::Alone;
        };
        let epoch = shared.epoch();
        let mut flights = shard.lock();
        let name = (*key.digest(), is_stream);
        if let Some(flight) = flights.get(&name) {
            let joined = (flight.epoch == epoch).then(|| flight.join()).flatten();
            return joined.map_or(Entered::Alone, Entered::Follows);
        }
        // Whoever has ended has kept what it brought before it left the map.
        if shard.landed.load(Ordering::Acquire) != landed {
            return Entered::LookAgain;
        }
        let listed = Some(is_stream);
        let (flight, member) = Flight::begin(shared, key.clone(), epoch, listed, bill());
        flights.insert(name, Arc::clone(&flight));
        Entered::Leads(flight, member)
    }

    pub(super) fn remove(&self, flight: &Arc<Flight>) {
        let (Some(shard), Some(is_stream)) = (self.shard(&flight.key), flight.listed) else {
            return;
        };
        let mut flights = shard.lock();
        let name = (*flight.key.digest(), is_stream);
        if flights
            .get(&name)
            .is_some_and(|listed| Arc::ptr_eq(listed, flight))
        {
            flights.remove(&name);
            shard.landed.fetch_add(1, Ordering::Release);
        }
    }

    /// How many calls are under way.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, key: &CacheKey) -> Option<&Shard> {
        let first = usize::from(*key.digest().first()?);
        self.shards.get(first % SHARDS)
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Arc<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("under_way", &self.len())
            .finish()
    }
}

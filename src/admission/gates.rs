//! The gates of all keys.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Adaptive, AdmissionCounts, Limits, counts::Totals, gate::Gate, gradient::Gradient};
use crate::key::Key;

pub(super) type LimitsOf = Arc<dyn Fn(&Key) -> Option<Limits> + Send + Sync>;

/// Shards of so many keys or more are worth a lock of their own.
const KEYS_PER_SHARD: usize = 1_024;
const MOST_SHARDS: usize = 16;

/// A gate for each key, bounded. A gate that nobody holds (nobody in flight or waiting) gives way to a new one; where all are held,
/// new keys share one.
pub(super) struct Gates {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// Of everyone together, which needs no look-up.
    global: Arc<Gate>,
    /// Of the keys for which there is no room.
    other: Arc<Gate>,
    settings: Mutex<Settings>,
    /// Taken by those who change settings, so that the last to change them is the last to apply them.
    changing: Mutex<()>,
    bounds: Bounds,
    totals: Arc<Totals>,
}

/// What stays as it is for as long as the gates are there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bounds {
    pub(super) adaptive: Option<Adaptive>,
    pub(super) max_keys: usize,
    pub(super) max_waiting: usize,
}

/// The limits that hold.
#[derive(Clone)]
pub(super) struct Settings {
    default: Limits,
    keys: HashMap<Key, Limits>,
    limits_of: Option<LimitsOf>,
    /// The first two as they were set at first.
    #[cfg_attr(
        not(feature = "gateway"),
        allow(dead_code, reason = "a reload compares it")
    )]
    set: (Limits, HashMap<Key, Limits>),
    changes: u64,
}

impl Settings {
    pub(super) fn new(
        default: Limits,
        keys: HashMap<Key, Limits>,
        limits_of: Option<LimitsOf>,
    ) -> Self {
        Self {
            default,
            set: (default, keys.clone()),
            keys,
            limits_of,
            changes: 0,
        }
    }
}

#[derive(Debug)]
struct Shard {
    gates: HashMap<Key, Arc<Gate>>,
    max: usize,
    /// How many new keys may come before idle gates are looked for again: that the search costs each of them a constant time, however
    /// many are held.
    patience: usize,
}

impl Gates {
    pub(super) fn new(settings: Settings, bounds: Bounds) -> Self {
        let totals = Arc::new(Totals {
            max_waiting: bounds.max_waiting,
            ..Totals::default()
        });
        let count = (bounds.max_keys / KEYS_PER_SHARD).clamp(1, MOST_SHARDS);
        let shard = || {
            Mutex::new(Shard {
                gates: HashMap::new(),
                max: bounds.max_keys.div_ceil(count),
                patience: 0,
            })
        };
        let gate = |key: Option<&Key>| {
            let own = key.and_then(|key| settings.keys.get(key).copied());
            let limits = own.unwrap_or(settings.default);
            Arc::new(new_gate(limits, bounds.adaptive.as_ref(), &totals))
        };
        Self {
            shards: (0..count).map(|_| shard()).collect(),
            hasher: RandomState::new(),
            global: gate(Some(&Key::GLOBAL)),
            other: gate(None),
            settings: Mutex::new(settings),
            changing: Mutex::new(()),
            bounds,
            totals,
        }
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The gate of `key`.
    pub(super) fn of(&self, key: &Key) -> Arc<Gate> {
        if *key == Key::GLOBAL {
            return Arc::clone(&self.global);
        }
        if let Some(gate) = self.known(key) {
            return gate;
        }
        loop {
            // Found outside the lock, as a function of the user's may be asked.
            let (limits, changes) = self.current(key);
            let Some(mut shard) = self.shard(key) else {
                return Arc::clone(&self.other);
            };
            if let Some(gate) = shard.gates.get(key) {
                return Arc::clone(gate);
            }
            if !shard.has_room() {
                return Arc::clone(&self.other);
            }
            // Whoever changes them later finds the gate here.
            if self.settings().changes != changes {
                continue;
            }
            let gate = Arc::new(new_gate(
                limits,
                self.bounds.adaptive.as_ref(),
                &self.totals,
            ));
            shard.gates.insert(key.clone(), Arc::clone(&gate));
            return gate;
        }
    }

    /// The gate of `key`, if it has one now.
    pub(super) fn known(&self, key: &Key) -> Option<Arc<Gate>> {
        if *key == Key::GLOBAL {
            return Some(Arc::clone(&self.global));
        }
        self.shard(key)?.gates.get(key).cloned()
    }

    /// What holds for `key`, whether it has a gate or not.
    pub(super) fn limits(&self, key: &Key) -> Limits {
        self.current(key).0
    }

    fn current(&self, key: &Key) -> (Limits, u64) {
        let settings = self.settings();
        let own = settings.keys.get(key).copied();
        let (default, changes) = (settings.default, settings.changes);
        let limits_of = settings.limits_of.clone();
        drop(settings);
        let limits = own.or_else(|| limits_of?(key));
        (limits.unwrap_or(default), changes)
    }

    pub(super) fn set_default(&self, limits: Limits) {
        self.change_all(|settings| settings.default = limits);
    }

    /// Puts `next` in force, but for what was changed since of settings that were the same at first.
    #[cfg(feature = "gateway")]
    pub(super) fn refit(&self, next: &Settings) {
        self.change_all(|settings| {
            if settings.set != next.set {
                settings.default = next.default;
                settings.keys.clone_from(&next.keys);
                settings.set.clone_from(&next.set);
            }
            settings.limits_of.clone_from(&next.limits_of);
        });
    }

    fn change_all(&self, change: impl FnOnce(&mut Settings)) {
        let _changing = lock(&self.changing);
        self.change(change);
        self.other.set_limits(self.settings().default);
        self.global.set_limits(self.limits(&Key::GLOBAL));
        for shard in &self.shards {
            let of_shard = |(key, gate): (&Key, &Arc<Gate>)| (key.clone(), Arc::clone(gate));
            let gates: Vec<_> = lock(shard).gates.iter().map(of_shard).collect();
            for (key, gate) in gates {
                gate.set_limits(self.limits(&key));
            }
        }
    }

    pub(super) fn set(&self, key: &Key, limits: Option<Limits>) {
        let _changing = lock(&self.changing);
        self.change(|settings| match limits {
            Some(limits) => _ = settings.keys.insert(key.clone(), limits),
            None => _ = settings.keys.remove(key),
        });
        if let Some(gate) = self.known(key) {
            gate.set_limits(self.limits(key));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings();
        change(&mut settings);
        settings.changes += 1;
    }

    pub(super) fn keys(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| lock(shard).gates.len())
            .sum()
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(super) fn counts(&self) -> AdmissionCounts {
        self.totals.counts()
    }

    fn shard(&self, key: &Key) -> Option<MutexGuard<'_, Shard>> {
        let hash = self.hasher.hash_one(key);
        let count = u64::try_from(self.shards.len()).ok()?;
        let index = usize::try_from(hash % count).ok()?;
        self.shards.get(index).map(lock)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }
}

impl Shard {
    /// Whether there is room for one more, after idle gates have gone where that is needed.
    fn has_room(&mut self) -> bool {
        if self.gates.len() < self.max {
            return true;
        }
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        // Whoever is in flight or waits holds the gate, and whoever is about to took it under this lock.
        self.gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        self.patience = self.max / 8;
        self.gates.len() < self.max
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("default", &self.default)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

fn new_gate(limits: Limits, adaptive: Option<&Adaptive>, totals: &Arc<Totals>) -> Gate {
    let gradient = adaptive.map(|adaptive| Gradient::new(adaptive.clone(), limits.in_flight));
    Gate::new(limits, gradient, totals)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates")
            .field("default", &self.settings().default)
            .field("keys", &self.keys())
            .field("totals", &self.totals)
            .finish_non_exhaustive()
    }
}

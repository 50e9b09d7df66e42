//! Handles by their labels, of which there may be so many.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

/// The most sets of one kind that are kept apart.
const MAX: usize = 512;

/// Handles by their labels. Read without a lock; a set is made when it is first needed, which is rare.
pub(super) struct Sets<K, V> {
    sets: ArcSwap<HashMap<K, Arc<V>>>,
    /// Taken by those who add one.
    adding: Mutex<()>,
}

impl<K, V> Default for Sets<K, V> {
    fn default() -> Self {
        Self {
            sets: ArcSwap::default(),
            adding: Mutex::new(()),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Sets<K, V> {
    /// The set of `key`, of a kind of which there cannot be many.
    pub(super) fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        self.known(&key)
            .unwrap_or_else(|| self.add(key, |_| make()))
    }

    /// The set of `key`; that of what it folds to, where there are too many.
    pub(super) fn get_or_fold(
        &self,
        key: K,
        fold: impl FnOnce(&K) -> K,
        make: impl FnOnce(&K) -> V,
    ) -> Arc<V> {
        if let Some(known) = self.known(&key) {
            return known;
        }
        let key = if self.sets.load().len() < MAX {
            key
        } else {
            fold(&key)
        };
        self.add(key, make)
    }

    fn known(&self, key: &K) -> Option<Arc<V>> {
        self.sets.load().get(key).cloned()
    }

    fn add(&self, key: K, make: impl FnOnce(&K) -> V) -> Arc<V> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.sets.load();
        if let Some(known) = current.get(&key) {
            return Arc::clone(known);
        }
        let set = Arc::new(make(&key));
        let mut more = HashMap::clone(&current);
        more.insert(key, Arc::clone(&set));
        self.sets.store(Arc::new(more));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_made_once_and_what_is_too_many_folds() {
        let sets: Sets<usize, usize> = Sets::default();
        let get = |key| *sets.get_or_fold(key, |_| usize::MAX, |key| *key);
        for key in (0..2 * MAX).chain(0..2 * MAX) {
            assert_eq!(get(key), if key < MAX { key } else { usize::MAX });
        }
        assert_eq!(sets.sets.load().len(), MAX + 1);
        assert_eq!(*sets.get(3, || panic!("it is there")), 3);
    }
}

//! What a stack leaves to the one that takes its place.

use std::{any::Any, collections::HashMap, fmt, sync::Arc};

use crate::{
    gateway::{Config, LayerHandles},
    worker::{ShutdownHandle, Worker},
};

/// What a stack leaves to the one that takes its place.
#[derive(Debug)]
pub(in crate::gateway) struct Estate {
    pub(in crate::gateway) config: Config,
    pub(in crate::gateway) layers: Arc<LayerHandles>,
    pub(in crate::gateway) kept: Kept,
    /// The workers of this stack alone.
    _ending: Ending,
}

/// What may be used again as it is, by its kind and name. Clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::gateway) struct Kept(HashMap<(&'static str, String), Arc<Entry>>);

struct Entry {
    made_of: Box<dyn Any + Send + Sync>,
    made: Box<dyn Any + Send + Sync>,
    ending: Ending,
}

/// Ends workers when it is dropped: with the last that needs them.
#[derive(Debug, Default)]
struct Ending(Vec<ShutdownHandle>);

impl Ending {
    fn of(workers: &[Worker]) -> Self {
        Self(workers.iter().map(Worker::shutdown_handle).collect())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.iter().for_each(ShutdownHandle::shutdown);
    }
}

impl Estate {
    /// Of a stack whose own workers are these.
    pub(in crate::gateway) fn new(
        config: Config,
        layers: LayerHandles,
        kept: Kept,
        workers: &[Worker],
    ) -> Self {
        Self {
            config,
            layers: Arc::new(layers),
            kept,
            _ending: Ending::of(workers),
        }
    }
}

impl Kept {
    /// What was made of the same, with the workers that keep it going.
    pub(in crate::gateway) fn find<M, T>(
        &self,
        kind: &'static str,
        name: &str,
        made_of: &M,
    ) -> Option<(T, Self)>
    where
        M: PartialEq + 'static,
        T: Clone + 'static,
    {
        let place = (kind, name.to_owned());
        let entry = self.0.get(&place)?;
        if entry.made_of.downcast_ref::<M>()? != made_of {
            return None;
        }
        let made = entry.made.downcast_ref::<T>()?.clone();
        Some((made, Self(HashMap::from([(place, Arc::clone(entry))]))))
    }

    /// Whatever was made of whatever, with the workers that keep it going.
    pub(in crate::gateway) fn any<T: Clone + 'static>(
        &self,
        kind: &'static str,
        name: &str,
    ) -> Option<(T, Self)> {
        let place = (kind, name.to_owned());
        let entry = self.0.get(&place)?;
        let made = entry.made.downcast_ref::<T>()?.clone();
        Some((made, Self(HashMap::from([(place, Arc::clone(entry))]))))
    }

    /// Whatever was made of whatever.
    pub(in crate::gateway) fn latest<T: Clone + 'static>(
        &self,
        kind: &'static str,
        name: &str,
    ) -> Option<T> {
        let entry = self.0.get(&(kind, name.to_owned()))?;
        entry.made.downcast_ref::<T>().cloned()
    }

    /// Keeps `made` for the stacks to come. Its workers end with the last of them that uses it.
    pub(in crate::gateway) fn add<M, T>(
        &mut self,
        kind: &'static str,
        name: &str,
        made_of: M,
        made: T,
        workers: &[Worker],
    ) where
        M: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let entry = Entry {
            made_of: Box::new(made_of),
            made: Box::new(made),
            ending: Ending::of(workers),
        };
        self.0.insert((kind, name.to_owned()), Arc::new(entry));
    }

    pub(in crate::gateway) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Leaves the workers of what is kept here alone to whoever has them.
    pub(in crate::gateway) fn release(&mut self) {
        for entry in self.0.values_mut().filter_map(Arc::get_mut) {
            entry.ending.0.clear();
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

//! Where answers are kept.

use std::{fmt, time::Duration};

use super::{CacheKey, Entry};
use crate::{key::Key, reserve::Answer};

/// Where answers are kept: [`MemoryStore`](super::MemoryStore), or one that replicas share.
///
/// The cache works without it: whatever cannot be read is asked for, and whatever cannot be kept is not. So nothing here fails, and neither is
/// anything here to block or to wait for long: what takes longer than
/// [`store_timeout`](super::CacheBuilder::store_timeout) is as if it were not there.
pub trait CacheStore: fmt::Debug + Send + Sync + 'static {
    /// What is kept under `key`, however old.
    fn get(&self, key: &CacheKey) -> Answer<Option<Entry>>;

    /// Keeps `entry` under `key` for at most so long, in place of what is there. Called where an answer ends, within its body: a store that
    /// has to wait leaves it to its worker.
    fn put(&self, key: &CacheKey, entry: Entry, keep: Duration);

    /// Forgets what `purge` names.
    fn purge(&self, purge: &Purge) -> Answer<()>;

    /// How many answers are kept, and how many bytes they take, where that is known.
    fn size(&self) -> Option<(u64, u64)> {
        None
    }
}

/// What is to be forgotten.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// Everything.
    All,
    /// One answer.
    Key(CacheKey),
    /// All of a scope: a tenant's.
    Scope(Key),
    /// All of a model, by the name that [`CacheKey::model`] has.
    Model(Box<str>),
}

impl Purge {
    /// Whether what is kept under `key` is to be forgotten.
    pub fn takes(&self, key: &CacheKey) -> bool {
        match self {
            Self::All => true,
            Self::Key(one) => one == key,
            Self::Scope(scope) => scope == key.scope(),
            Self::Model(model) => **model == *key.model(),
        }
    }
}

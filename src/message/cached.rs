//! An answer that nobody had to be asked for.

use std::time::Duration;

use super::catalog::Cost;

/// Stands in the extensions of an answer that a cache gave, or that is shared with another request that asks for the same: no upstream was
/// asked for it, so it costs nothing and uses nothing, whatever usage it states.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cached {
    /// How long ago it was answered.
    pub age: Duration,
    /// Whether it is older than answers are given from the cache otherwise.
    pub is_stale: bool,
    /// What it had cost, and is saved now; `None` where that is not known: not yet, for one that is still being answered.
    pub saved: Option<Cost>,
}

impl Cached {
    /// An answer of this age.
    pub fn new(age: Duration) -> Self {
        Self {
            age,
            is_stale: false,
            saved: None,
        }
    }
}

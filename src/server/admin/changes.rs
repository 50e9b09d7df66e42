//! What operators changed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    control::Change,
    wire::{clock, rfc3339},
};

/// How many changes are kept.
const MOST: usize = 50;
/// How long what was there before and after may be, as text, to be kept: a table of aliases is long.
const MAX_VALUE: usize = 1024;

/// The last changes that operators made: 50 of them. Clones share them. All are logged besides.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Mutex<VecDeque<ChangeEntry>>>);

/// One change: who changed what, from what to what.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeEntry {
    /// When it was.
    pub at: String,
    /// The name of the token that it was done with.
    pub who: Arc<str>,
    /// What kind of thing was changed.
    pub kind: String,
    /// Which.
    pub name: String,
    /// What was done.
    pub action: String,
    /// What was there before; `null` where it is too long.
    pub old: Value,
    /// What is there now; `null` where it is too long.
    pub new: Value,
}

impl Changes {
    /// Logs a change and keeps it.
    pub(super) fn note(
        &self,
        who: Arc<str>,
        (kind, name, action): (&str, &str, &str),
        change: &Change,
    ) {
        tracing::info!(%who, kind, name, action, old = %change.old, new = %change.new, "changed");
        let short = |value: &Value| {
            let is_short = value.to_string().len() <= MAX_VALUE;
            if is_short { value.clone() } else { Value::Null }
        };
        let entry = ChangeEntry {
            at: rfc3339::format(clock::now()),
            who,
            kind: kind.to_owned(),
            name: name.to_owned(),
            action: action.to_owned(),
            old: short(&change.old),
            new: short(&change.new),
        };
        let mut changes = self.lock();
        changes.push_front(entry);
        changes.truncate(MOST);
    }

    /// The last changes, the latest first.
    pub fn recent(&self) -> Vec<ChangeEntry> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ChangeEntry>> {
        // Each change is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

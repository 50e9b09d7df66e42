//! What a stream has said of its choices.

use serde_json::{Value as Json, json, value::RawValue};

use super::think::{Parts, ThinkSplitter};

/// The most choices of a stream that are remembered.
const MAX_CHOICES: usize = 1024;

/// The choices so far, by their index.
#[derive(Debug, Default)]
pub(super) struct Choices {
    list: Vec<(u64, Choice)>,
    /// What stood in a choice, as in older answers of Moonshot's.
    pub(super) usage: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choice {
    /// Tool calls that have begun.
    pub(super) tools: u64,
    pub(super) finished: bool,
    pub(super) think: ThinkSplitter,
}

impl Choice {
    /// A delta of what was held back, where anything was.
    pub(super) fn held(&mut self) -> Option<Json> {
        if !self.think.is_holding() {
            return None;
        }
        let mut parts = Parts::default();
        self.think.finish(&mut parts);
        Some(if parts.text.is_empty() {
            json!({"reasoning_content": parts.reasoning})
        } else {
            json!({"content": parts.text})
        })
    }
}

impl Choices {
    /// The choice of this index, which may be new; `None` when no more are remembered.
    pub(super) fn get_mut(&mut self, index: u64) -> Option<&mut Choice> {
        let at = match self.list.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => at,
            Err(_) if self.list.len() == MAX_CHOICES => return None,
            Err(at) => {
                self.list.insert(at, (index, Choice::default()));
                at
            }
        };
        self.list.get_mut(at).map(|(_, choice)| choice)
    }

    /// How many have been said anything of.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Choice)> {
        self.list.iter().copied()
    }

    /// What was held back of each.
    pub(super) fn held(&mut self) -> impl Iterator<Item = (u64, Json)> {
        let choices = self.list.iter_mut();
        choices.filter_map(|(index, choice)| Some((*index, choice.held()?)))
    }

    /// Whether there is a choice, and all have ended.
    pub(super) fn are_finished(&self) -> bool {
        !self.list.is_empty() && self.list.iter().all(|(_, choice)| choice.finished)
    }

    /// Notes that all have ended.
    pub(super) fn finish(&mut self) {
        for (_, choice) in &mut self.list {
            choice.finished = true;
        }
    }

    /// Becomes a copy of `other`, which allocates nothing where it was as large before.
    pub(super) fn copy(&mut self, other: &Self) {
        self.list.clone_from(&other.list);
    }
}

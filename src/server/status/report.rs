use serde::Serialize;
use serde_json::Value;

use super::{RefusalsReport, Spend};
use crate::{server::admin::ChangeEntry, stats};

/// All of a relay at one moment: what `/status` answers.
///
/// Members may be added; those that are there keep their meaning.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// When it was, in RFC 3339.
    pub at: String,
    /// This crate's version.
    pub version: &'static str,
    /// How long it has run.
    pub uptime_seconds: u64,
    /// Tasks that are alive in its tokio runtime; `null` where a report is made outside of one.
    pub tasks: Option<usize>,
    /// Which process this is of.
    pub replica: Replica,
    /// Requests, and how each upstream and model does.
    pub traffic: stats::Snapshot,
    /// What was spent; `null` where nothing is metered.
    pub spend: Option<Spend>,
    /// What can be steered, by kind and name: [`Control::show`](crate::control::Control::show).
    pub controls: Value,
    /// What callers were refused.
    pub refusals: RefusalsReport,
    /// What operators changed, the latest first.
    pub changes: Vec<ChangeEntry>,
}

/// Which process a report is of, and how far it reaches.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// What it is called.
    pub name: String,
    /// How many replicas there are, as far as is known: what a report says is of this one alone.
    pub replicas: u64,
    /// What all of them share, and so is the same in the report of each.
    pub shared: Vec<String>,
}

impl Replica {
    /// The only one, called `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            replicas: 1,
            shared: Vec::new(),
        }
    }

    /// One of so many, which share what is named.
    #[must_use]
    pub fn one_of<T: Into<String>>(
        mut self,
        replicas: u64,
        shared: impl IntoIterator<Item = T>,
    ) -> Self {
        self.replicas = replicas.max(1);
        self.shared = shared.into_iter().map(Into::into).collect();
        self
    }
}

use super::{Refusals, Replica, Status};
use crate::{
    message::catalog::ModelCatalog,
    server::{
        Facts,
        admin::{Access, Changes},
    },
};

/// What a [`Status`] is made of. Each part that is left out is empty in the report.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct StatusBuilder {
    pub(super) replica: Replica,
    pub(super) facts: Facts,
    pub(super) catalog: ModelCatalog,
    pub(super) baselines: Vec<String>,
    pub(super) refusals: Refusals,
    pub(super) changes: Changes,
    pub(super) access: Access,
}

impl StatusBuilder {
    /// Which process it is of.
    pub fn replica(mut self, replica: Replica) -> Self {
        self.replica = replica;
        self
    }

    /// What is shown.
    pub fn facts(mut self, facts: &Facts) -> Self {
        self.facts = facts.clone();
        self
    }

    /// Where prices are known.
    pub fn catalog(mut self, catalog: &ModelCatalog) -> Self {
        self.catalog = catalog.clone();
        self
    }

    /// The models that savings are reckoned against. At most 25 are.
    pub fn baselines<T: Into<String>>(mut self, models: impl IntoIterator<Item = T>) -> Self {
        self.baselines = models.into_iter().take(25).map(Into::into).collect();
        self
    }

    /// What callers were refused.
    pub fn refusals(mut self, refusals: &Refusals) -> Self {
        self.refusals = refusals.clone();
        self
    }

    /// What operators changed.
    pub fn changes(mut self, changes: &Changes) -> Self {
        self.changes = changes.clone();
        self
    }

    /// Who may read it: everyone by default.
    pub fn access(mut self, access: &Access) -> Self {
        self.access = access.clone();
        self
    }

    /// The service.
    pub fn build(self) -> Status {
        Status::new(self)
    }
}

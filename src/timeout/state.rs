//! How long an attempt may take.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use crate::{
    message::{ConfigError, ModelPattern},
    wire::units,
};

/// How long one attempt may take. What is not set is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    head: Option<Span>,
    total: Option<Span>,
}

/// A span of time within an option, where `deserialize_with` does not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
struct Span(#[serde(deserialize_with = "units::duration")] Duration);

impl Limits {
    /// No limit.
    pub fn none() -> Self {
        Self::default()
    }

    /// Until the head of the answer.
    pub fn head(mut self, within: Duration) -> Self {
        self.head = Some(Span(within));
        self
    }

    /// Until the last byte of the answer. It cuts long streams too, so it is best left out.
    pub fn total(mut self, within: Duration) -> Self {
        self.total = Some(Span(within));
        self
    }

    pub(super) fn head_within(self) -> Option<Duration> {
        self.head.map(|span| span.0)
    }

    pub(super) fn total_within(self) -> Option<Duration> {
        self.total.map(|span| span.0)
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
        for (field, span) in [("head", self.head), ("total", self.total)] {
            if span.is_some_and(|span| span.0.is_zero()) {
                return Err(ConfigError::new(field, "must be more than zero"));
            }
        }
        Ok(())
    }
}

/// The limits of models that have their own, the closest pattern first.
#[derive(Debug, Clone, Default)]
pub(super) struct ByModel(Vec<(ModelPattern, Limits)>);

impl ByModel {
    pub(super) fn new(models: HashMap<ModelPattern, Limits>) -> Self {
        let mut models: Vec<_> = models.into_iter().collect();
        models.sort_by_key(|(pattern, _)| {
            std::cmp::Reverse((pattern.is_exact(), pattern.literal_len()))
        });
        Self(models)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of(&self, model: &str) -> Option<Limits> {
        let mut models = self.0.iter();
        let found = models.find(|(pattern, _)| pattern.matches(model));
        found.map(|(_, limits)| *limits)
    }
}

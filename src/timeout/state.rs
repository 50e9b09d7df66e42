//! How long an attempt may take.

use std::time::Duration;

use serde::Deserialize;

use crate::{message::ConfigError, wire::units};

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

use serde::Deserialize;

use super::{Reasoning, ResponseNormalizeLayer};

/// What a [`ResponseNormalizeLayer`] is to do; also its configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ResponseNormalizeBuilder {
    reasoning: Reasoning,
}

impl ResponseNormalizeBuilder {
    /// What becomes of thoughts. They are [kept](Reasoning::Keep) by default.
    pub fn reasoning(mut self, reasoning: Reasoning) -> Self {
        self.reasoning = reasoning;
        self
    }

    /// What it does beside its default, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> impl Iterator<Item = String> {
        let reasoning = match self.reasoning {
            Reasoning::Keep => None,
            Reasoning::Unify => Some("reasoning unified"),
            Reasoning::Drop => Some("reasoning dropped"),
            Reasoning::Split => Some("reasoning split from content"),
        };
        reasoning.map(str::to_owned).into_iter()
    }

    /// The layer.
    pub fn build(self) -> ResponseNormalizeLayer {
        ResponseNormalizeLayer::with(self.reasoning)
    }
}

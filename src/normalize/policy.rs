use serde::Deserialize;

use super::{Reasoning, ResponseNormalizeLayer};
use crate::message::ConfigError;

/// What a [`ResponseNormalizeLayer`] does with an answer that is not OpenAI's.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormalizePolicy {
    /// Repairs it.
    #[default]
    Lenient,
    /// Answers 502 in its place, and says what is wrong and where; ends a stream with an error event. Errors are
    /// repaired all the same: there is nothing in them to be kept from a caller.
    Strict,
    /// Counts what it would repair, and changes nothing.
    Observe,
}

/// The settings of a [`ResponseNormalizeLayer`]; also its configuration.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ResponseNormalizeBuilder {
    pub(super) policy: NormalizePolicy,
    pub(super) reasoning: Reasoning,
}

impl ResponseNormalizeBuilder {
    /// What is done with an answer that is not OpenAI's: [`NormalizePolicy::Lenient`] by default.
    pub fn policy(mut self, policy: NormalizePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// What becomes of thoughts: [`Reasoning::Keep`] by default.
    pub fn reasoning(mut self, reasoning: Reasoning) -> Self {
        self.reasoning = reasoning;
        self
    }

    /// What it does beside its defaults, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> impl Iterator<Item = String> {
        let policy = match self.policy {
            NormalizePolicy::Lenient => None,
            NormalizePolicy::Strict => Some("strict"),
            NormalizePolicy::Observe => Some("observes only"),
        };
        let reasoning = match self.reasoning {
            Reasoning::Keep => None,
            Reasoning::Unify => Some("reasoning unified"),
            Reasoning::Drop => Some("reasoning dropped"),
            Reasoning::Split => Some("reasoning split from content"),
        };
        [policy, reasoning].into_iter().flatten().map(str::to_owned)
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// None today; every layer's settings are checked here.
    pub fn build(self) -> Result<ResponseNormalizeLayer, ConfigError> {
        Ok(ResponseNormalizeLayer::from_settings(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_deserialize_and_unknown_ones_are_refused() {
        let read = serde_json::from_str::<ResponseNormalizeBuilder>;
        assert_eq!(read("{}").unwrap().policy, NormalizePolicy::Lenient);
        let strict = read(r#"{"policy":"strict"}"#).unwrap();
        assert_eq!(strict.policy, NormalizePolicy::Strict);
        assert!(read(r#"{"polices":"strict"}"#).is_err());
    }
}

use std::sync::Arc;

use serde::Deserialize;

use super::{BuiltinCheck, Check};
use crate::{message::ConfigError, wire::units};

/// When another model is tried after the first, once; part of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct EscalationBuilder {
    pub(super) on_context: bool,
    pub(super) checks: Vec<BuiltinCheck>,
    pub(super) streams: bool,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_answer: u64,
    #[serde(deserialize_with = "units::bytes")]
    pub(super) max_held: u64,
    #[serde(skip)]
    pub(super) own_checks: Vec<Arc<dyn Check>>,
}

impl Default for EscalationBuilder {
    fn default() -> Self {
        Self {
            on_context: true,
            checks: Vec::new(),
            streams: false,
            max_answer: 1 << 20,
            max_held: 64 << 20,
            own_checks: Vec::new(),
        }
    }
}

impl EscalationBuilder {
    /// When a request is too long for the first model, and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a request that the upstream says is too long for the model is tried with one of a larger window. On by default.
    pub fn on_context(mut self, on: bool) -> Self {
        self.on_context = on;
        self
    }

    /// A check that an answer must pass, or a model of a higher tier is tried. It sees answers of OpenAI's and Anthropic's shapes, streams only
    /// [if asked](Self::streams); all others pass. None by default.
    pub fn check(mut self, check: BuiltinCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// The same, by a check of one's own.
    pub fn own_check(mut self, check: impl Check + 'static) -> Self {
        self.own_checks.push(Arc::new(check));
        self
    }

    /// Whether streams are checked too. Each is then held until it is whole, so that its caller gets it at the end and all at once: what is
    /// handed on cannot be taken back. Off by default.
    pub fn streams(mut self, checked: bool) -> Self {
        self.streams = checked;
        self
    }

    /// The longest answer that is checked, in bytes: 1 MiB by default. A longer one passes.
    pub fn max_answer(mut self, bytes: u64) -> Self {
        self.max_answer = bytes;
        self
    }

    /// The most that all answers together hold while they are checked, in bytes: 64 MiB by default. Beyond it they pass.
    pub fn max_held(mut self, bytes: u64) -> Self {
        self.max_held = bytes;
        self
    }

    pub(super) fn has_checks(&self) -> bool {
        !self.checks.is_empty() || !self.own_checks.is_empty()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (field, bytes) in [("max_answer", self.max_answer), ("max_held", self.max_held)] {
            if bytes == 0 {
                return Err(ConfigError::new(field, "must not be zero"));
            }
        }
        if !self.on_context && !self.has_checks() {
            let reason = "there is nothing to escalate on: no check, and not the context";
            return Err(ConfigError::new("checks", reason));
        }
        Ok(())
    }
}

use std::fmt::Write;

use super::{RateLimitBuilder, policy::Side};

impl RateLimitBuilder {
    /// The limits in words: what `--check` prints.
    pub(crate) fn describe(&self) -> String {
        let limits: Vec<String> = match &self.limits {
            Some(quota) => quota.limits().iter().map(ToString::to_string).collect(),
            None if self.side == Side::Provider => vec!["what the provider says".to_owned()],
            None => Self::tenant_default()
                .limits()
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        let mut text = limits.join(", ");
        // Writing to a string cannot fail.
        if !self.models.is_empty() {
            let _ = write!(text, ", {} models apart", self.models.len());
        }
        if !self.wait.is_zero() {
            let _ = write!(text, ", waits up to {:?}", self.wait);
        }
        text
    }
}

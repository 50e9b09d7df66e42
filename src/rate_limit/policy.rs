//! What there is to choose.

use std::fmt;

use serde::Deserialize;

use super::quotas::QuotaOf;

/// Whose limits they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Side {
    #[default]
    Tenant,
    Provider,
}

/// How many tokens of output are reserved for a request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputEstimate {
    /// The request's own cap on its answer, which is what providers reserve, and a default where it has none. Never too little where
    /// there is a cap; often much too much.
    #[default]
    Cap,
    /// What answers of the model usually take, as far as that was seen, and never more than the request's cap: the moving average and
    /// twice the mean deviation, as TCP estimates its round trips ([RFC 6298](https://www.rfc-editor.org/rfc/rfc6298)).
    Typical,
}

/// What is counted of an answer that does not say what it used: one that broke, that its caller left, or whose provider never says.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUsage {
    /// The input's estimate, and output by the bytes that were seen, at most what was reserved. Never less than what the answer did say.
    #[default]
    Estimate,
    /// All that was reserved.
    KeepReservation,
}

/// A function of the user's.
#[derive(Clone, Default)]
pub(super) struct Custom(pub(super) Option<QuotaOf>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Custom" } else { "None" })
    }
}

//! What a layer is to do about an outcome.

use std::time::Duration;

use super::{Outcome, Refusal};

/// Whether the same request may succeed at the same upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It will not.
    Never,
    /// It may, after a wait of the caller's choice.
    Backoff,
    /// It may, but not before this wait is over.
    After(Duration),
}

/// Whether the same request may succeed elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FallBack {
    /// It will not, or must not be tried.
    No,
    /// It may, at any other upstream.
    Yes,
    /// It may, at a model with a larger window.
    ToLargerWindow,
    /// It may, but sending content that was refused to somebody else is for the operator to decide.
    IfAsked,
}

/// What an outcome says of the upstream's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// It works, but not for us just now: counted apart from failures, against a threshold of its own.
    RateLimited,
    /// It will not work for us until somebody acts: to be left alone for long.
    Exhausted,
    /// It answered, and the request or the configuration is at fault. Not counted.
    Blameless,
    /// Nothing: the caller left, or it was not asked. Not counted.
    Neutral,
}

impl Outcome {
    /// Whether, and after what wait, the same request may succeed at the same upstream.
    pub fn retry(self) -> Retry {
        match self {
            Self::RateLimited { retry_after }
            | Self::Overloaded { retry_after }
            | Self::Refused(Refusal::ProviderLimit { retry_after }) => {
                retry_after.map_or(Retry::Backoff, Retry::After)
            }
            Self::ServerError | Self::Timeout { .. } | Self::Transport { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// Whether the same request may succeed elsewhere.
    pub fn falls_back(self) -> FallBack {
        match self {
            Self::RateLimited { .. }
            | Self::QuotaExhausted
            | Self::Overloaded { .. }
            | Self::ServerError
            | Self::Timeout { .. }
            | Self::Transport { .. }
            | Self::ModelNotFound
            | Self::UpstreamAuth
            | Self::Refused(Refusal::CircuitOpen | Refusal::ProviderLimit { .. }) => FallBack::Yes,
            Self::ContextTooLong => FallBack::ToLargerWindow,
            Self::ContentFiltered => FallBack::IfAsked,
            Self::Success
            | Self::InvalidRequest
            | Self::Cancelled
            | Self::Refused(Refusal::Tenant) => FallBack::No,
        }
    }

    /// Whether it counts for or against the upstream.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Success => Verdict::Success,
            Self::Overloaded { .. }
            | Self::ServerError
            | Self::Timeout { .. }
            | Self::Transport { .. } => Verdict::Failure,
            Self::RateLimited { .. } => Verdict::RateLimited,
            Self::QuotaExhausted => Verdict::Exhausted,
            Self::ContextTooLong
            | Self::ContentFiltered
            | Self::ModelNotFound
            | Self::UpstreamAuth
            | Self::InvalidRequest => Verdict::Blameless,
            Self::Cancelled | Self::Refused(_) => Verdict::Neutral,
        }
    }

    /// Whether it speaks of the target, so that other requests are better sent elsewhere too: not of the request, its model or its
    /// caller.
    pub(crate) fn is_the_targets(self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::QuotaExhausted
                | Self::Overloaded { .. }
                | Self::ServerError
                | Self::Timeout { .. }
                | Self::Transport { .. }
                | Self::UpstreamAuth
                | Self::Refused(Refusal::CircuitOpen | Refusal::ProviderLimit { .. })
        )
    }

    /// Whether the relay's own configuration is at fault, which somebody should hear of.
    pub fn alerts(self) -> bool {
        matches!(self, Self::ModelNotFound | Self::UpstreamAuth)
    }
}

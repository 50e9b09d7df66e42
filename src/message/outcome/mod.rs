//! What an answer means for whoever must act on it.

mod advice;
mod classify;
mod decide;
mod ended;
mod facts;
mod statuses;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::Response;

pub(crate) use classify::Ours;
pub(super) use classify::read_ahead;
pub(crate) use classify::read_error;
pub(super) use decide::implied_status;
pub use {
    advice::{FallBack, Retry, Verdict},
    classify::{Classify, classify, classify_with},
    decide::classify_error,
};

use super::{ApiError, Deadline, Phase, Reason, Rejection, TransportError};

/// What came of a request, decided once by [`classify`] and kept in the answer's extensions.
///
/// Three questions are asked of it, by three kinds of layer:
///
/// | outcome | [`retry`](Self::retry) | [`falls_back`](Self::falls_back) | [`verdict`](Self::verdict) |
/// |---|---|---|---|
/// | `Success` | never | no | success |
/// | `RateLimited` | after `retry_after` | yes | rate limited |
/// | `QuotaExhausted` | never | yes | exhausted |
/// | `Overloaded`, `ServerError`, `Timeout`, `Transport` | yes | yes | failure |
/// | `ContextTooLong` | never | to a larger window | blameless |
/// | `ContentFiltered` | never | if asked | blameless |
/// | `ModelNotFound`, `UpstreamAuth` | never | yes | blameless, [alert](Self::alerts) |
/// | `InvalidRequest` | never | no | blameless |
/// | `Cancelled` | never | no | neutral |
/// | `Refused(CircuitOpen)` | never | yes | neutral |
/// | `Refused(ProviderLimit)` | after `retry_after` | yes | neutral |
/// | `Refused(Tenant)` | never | no | neutral |
///
/// The end of the body may overrule it: see [`of_completion`](Self::of_completion). A layer that changes an answer's status
/// puts the new outcome in the extensions.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An answer.
    Success,
    /// The upstream's limit on requests or tokens per time, which time heals.
    RateLimited {
        /// The wait that the upstream asks for.
        retry_after: Option<Duration>,
    },
    /// The upstream's limit on money, or one that no wait worth waiting heals.
    QuotaExhausted,
    /// The upstream has more to do than it can.
    Overloaded {
        /// The wait that the upstream asks for.
        retry_after: Option<Duration>,
    },
    /// The upstream failed.
    ServerError,
    /// A wait ran out: the upstream's own, the client's, or one of this crate's.
    Timeout {
        /// What was waited for.
        phase: Phase,
    },
    /// The connection failed.
    Transport {
        /// When it did.
        phase: Phase,
    },
    /// The request is larger than the model's window, or than the upstream takes at once.
    ContextTooLong,
    /// The upstream refuses the content.
    ContentFiltered,
    /// The upstream does not have the model, or not for this key.
    ModelNotFound,
    /// The upstream refuses the key.
    UpstreamAuth,
    /// The request is at fault.
    InvalidRequest,
    /// The caller left.
    Cancelled,
    /// A layer of this crate refused the request, and the upstream was not asked.
    Refused(Refusal),
}

/// Why a layer of this crate refused a request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The upstream is out of rotation.
    CircuitOpen,
    /// The limit that the relay keeps for the upstream is full.
    ProviderLimit {
        /// When there is room.
        retry_after: Option<Duration>,
    },
    /// Whoever asks has reached a limit or a budget of theirs, found no room, or may not ask.
    Tenant,
}

impl Outcome {
    /// The outcome that [`classify`] or a layer has noted in `response`.
    pub fn of<B>(response: &Response<B>) -> Option<Self> {
        response.extensions().get().copied()
    }

    /// The outcome as far as it can be told without the body: what is noted in `response`, what a layer of this crate says
    /// in its [`Rejection`] or [`TransportError`], and success. `None` for the upstream's own errors, which [`classify`]
    /// must read.
    pub fn of_head<B>(response: &Response<B>) -> Option<Self> {
        let extensions = response.extensions();
        Self::of(response)
            .or_else(|| extensions.get::<Rejection>().map(Self::from))
            .or_else(|| extensions.get::<TransportError>().map(Self::from))
            .or_else(|| (response.status().as_u16() < 400).then_some(Self::Success))
    }

    /// The same, of an error that nobody has read too: what its status and its headers mean.
    pub(crate) fn of_unread<B>(response: &Response<B>) -> Self {
        Self::of_head(response).unwrap_or_else(|| {
            let status = response.status();
            let error = ApiError::new(status, "", "");
            classify_error(status, response.headers(), &error)
        })
    }

    /// What it means that nobody waits for an answer any more: past its `deadline` an edge has given up, and otherwise the caller has left.
    pub(crate) fn of_leaving(deadline: Option<Deadline>) -> Self {
        if deadline.is_some_and(|deadline| deadline.remaining().is_zero()) {
            Self::Timeout { phase: Phase::Head }
        } else {
            Self::Cancelled
        }
    }

    /// The outcome of an answer that ended for `reason`, where that is not success: the `finish_reason` of any dialect
    /// (`stop_reason`, `finishReason`), or Gemini's `blockReason`.
    ///
    /// ```
    /// use tower_relay::message::Outcome;
    ///
    /// assert_eq!(Outcome::of_finish_reason("SAFETY"), Some(Outcome::ContentFiltered));
    /// assert_eq!(Outcome::of_finish_reason("network_error"), Some(Outcome::ServerError));
    /// assert_eq!(Outcome::of_finish_reason("length"), None);
    /// ```
    pub fn of_finish_reason(reason: &str) -> Option<Self> {
        let mut known = facts::FINISH_REASONS.iter();
        known
            .find(|(word, _)| word.eq_ignore_ascii_case(reason))
            .map(|(_, meaning)| meaning.outcome(None))
    }

    /// The outcome as a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RateLimited { .. } => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded { .. } => "overloaded",
            Self::ServerError => "server_error",
            Self::Timeout { .. } => "timeout",
            Self::Transport { .. } => "transport",
            Self::ContextTooLong => "context_too_long",
            Self::ContentFiltered => "content_filtered",
            Self::ModelNotFound => "model_not_found",
            Self::UpstreamAuth => "upstream_auth",
            Self::InvalidRequest => "invalid_request",
            Self::Cancelled => "cancelled",
            Self::Refused(_) => "refused",
        }
    }
}

impl From<&Rejection> for Outcome {
    fn from(rejection: &Rejection) -> Self {
        match rejection.reason {
            Reason::InvalidRequest | Reason::BodyTooLarge | Reason::UpgradeUnsupported => {
                Self::InvalidRequest
            }
            // Not for this caller; another upstream may.
            Reason::ModelNotFound | Reason::UpstreamNotAllowed => Self::ModelNotFound,
            Reason::Overloaded
            | Reason::Unauthenticated
            | Reason::Forbidden
            | Reason::RateLimited
            | Reason::BudgetExceeded
            | Reason::LimitsUnavailable => Self::Refused(Refusal::Tenant),
            Reason::ProviderLimit => Self::Refused(Refusal::ProviderLimit {
                retry_after: rejection.retry_after,
            }),
            Reason::TooLargeForProvider => Self::ContextTooLong,
            Reason::CircuitOpen => Self::Refused(Refusal::CircuitOpen),
            Reason::Timeout(phase) => Self::Timeout { phase },
        }
    }
}

impl From<&TransportError> for Outcome {
    fn from(error: &TransportError) -> Self {
        let phase = error.phase();
        if error.is_timeout() {
            Self::Timeout { phase }
        } else {
            Self::Transport { phase }
        }
    }
}

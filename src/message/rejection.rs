//! What a layer of this crate refused, and why.

use std::time::Duration;

use http::Response;

use super::{ApiError, Dialect, ResponseBody};

/// Stands in the extensions of a response that a layer of this crate made up, so that outer layers tell a
/// local refusal from an answer of the upstream.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The layer that refused, by the name of its module (`edge`, `model_rewrite`).
    pub layer: &'static str,
    /// Why it refused.
    pub reason: Reason,
    /// When the same request may be admitted, where that is known.
    pub retry_after: Option<Duration>,
}

/// Why a layer refused a request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is malformed, or asks for what is not offered.
    InvalidRequest,
    /// The request's body is larger than its endpoint's cap.
    BodyTooLarge,
    /// The relay holds as many bytes of other requests as it may.
    Overloaded,
    /// Whoever asks did not say who they are.
    Unauthenticated,
    /// Whoever asks may not ask for this.
    Forbidden,
    /// What is asked may not be sent to this upstream.
    UpstreamNotAllowed,
    /// No upstream is known to serve the model.
    ModelNotFound,
    /// The connection cannot be upgraded to another protocol.
    UpgradeUnsupported,
    /// The upstream is out of rotation.
    CircuitOpen,
    /// Whoever asks has used up a limit of theirs on requests or tokens per time.
    RateLimited,
    /// The store that keeps the limits does not answer.
    LimitsUnavailable,
    /// Whoever asks has spent a budget of theirs.
    BudgetExceeded,
    /// The limit that the relay keeps for the upstream is used up.
    ProviderLimit,
    /// The request is more than the limit that the relay keeps for the upstream ever gives at once.
    TooLargeForProvider,
    /// A deadline of the relay passed.
    Timeout(Phase),
}

/// The part of a request's life in which something went wrong.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Receiving the caller's body.
    RequestBody,
    /// Obtaining the upstream's credential.
    Credential,
    /// Connecting to the upstream: nothing was sent.
    Connect,
    /// Between sending the request and the head of the answer.
    Head,
    /// Between sending the request and the first output of a streamed answer.
    FirstToken,
    /// Receiving the answer's body.
    Body,
}

impl Reason {
    /// The reason as a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::BodyTooLarge => "body_too_large",
            Self::Overloaded => "overloaded",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::UpstreamNotAllowed => "upstream_not_allowed",
            Self::ModelNotFound => "model_not_found",
            Self::UpgradeUnsupported => "upgrade_unsupported",
            Self::CircuitOpen => "circuit_open",
            Self::RateLimited => "rate_limited",
            Self::LimitsUnavailable => "limits_unavailable",
            Self::BudgetExceeded => "budget_exceeded",
            Self::ProviderLimit => "provider_limit",
            Self::TooLargeForProvider => "too_large_for_provider",
            Self::Timeout(_) => "timeout",
        }
    }
}

impl Phase {
    /// The phase in words, as error messages name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestBody => "request body",
            Self::Credential => "credential",
            Self::Connect => "connect",
            Self::Head => "response head",
            Self::FirstToken => "first token",
            Self::Body => "response body",
        }
    }
}

impl Rejection {
    /// A refusal by `layer`.
    pub fn new(layer: &'static str, reason: Reason) -> Self {
        Self {
            layer,
            reason,
            retry_after: None,
        }
    }

    /// The response that tells the caller: `error` in their dialect, and `self` in the extensions.
    ///
    /// Leaves a `tracing` event at debug level that names layer, reason and status, and nothing of the request.
    pub fn into_response(mut self, error: &ApiError, dialect: Dialect) -> Response<ResponseBody> {
        self.retry_after = error.retry_after();
        tracing::debug!(
            layer = self.layer,
            reason = self.reason.as_str(),
            status = error.status().as_u16(),
            "refused"
        );
        let mut response = error.to_response(dialect);
        response.extensions_mut().insert(self);
        response
    }
}

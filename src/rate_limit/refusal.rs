//! What those are told who are not admitted.

use std::{fmt::Write, time::Duration};

use http::{Response, StatusCode};

use super::{ask::Ask, headers, layer::Shared, policy::Side};
use crate::{
    message::{ApiError, Reason, Rejection, ResponseBody},
    reserve::{Decision, Dimension, Level, Levels, Verdict},
};

/// Why a request is not admitted.
#[derive(Debug)]
pub(super) enum Denied {
    /// A limit is used up.
    Full {
        wait: Duration,
        limit: usize,
        levels: Box<Levels>,
    },
    /// It is more than a limit gives at once.
    TooLarge { limit: usize, levels: Box<Levels> },
    /// The provider said that there is no room.
    Held { wait: Duration },
    /// The store of the limits does not answer.
    Unavailable { wait: Duration },
}

impl Denied {
    /// Why `decision` did not admit.
    pub(super) fn by(decision: &Decision) -> Option<Self> {
        let levels = Box::new(decision.levels);
        match decision.verdict {
            Verdict::Admitted => None,
            Verdict::Full { wait, limit } => Some(Self::Full {
                wait,
                limit,
                levels,
            }),
            Verdict::TooLarge { limit } => Some(Self::TooLarge { limit, levels }),
            Verdict::Unavailable { wait } => Some(Self::Unavailable { wait }),
        }
    }

    /// When there may be room; `None` for never.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Full { wait, .. } | Self::Held { wait } | Self::Unavailable { wait } => {
                Some(*wait)
            }
            Self::TooLarge { .. } => None,
        }
    }
}

impl Shared {
    pub(super) fn refuse(&self, ask: &Ask, denied: &Denied) -> Response<ResponseBody> {
        let (error, reason) = match denied {
            Denied::Full {
                wait,
                limit,
                levels,
            } => {
                let reason = match self.side {
                    Side::Tenant => Reason::RateLimited,
                    Side::Provider => Reason::ProviderLimit,
                };
                let level = levels.get(&ask.quota, *limit);
                (full(ask, level.as_ref(), *wait), reason)
            }
            Denied::TooLarge { limit, levels } => {
                let reason = match self.side {
                    Side::Tenant => Reason::InvalidRequest,
                    Side::Provider => Reason::TooLargeForProvider,
                };
                let level = levels.get(&ask.quota, *limit);
                (too_large(ask, level.as_ref()), reason)
            }
            Denied::Held { wait } => {
                let message = format!(
                    "The provider's rate limit leaves no room for this request. Please try again in {}.",
                    headers::go_duration(*wait)
                );
                (limited("requests", message, *wait), Reason::ProviderLimit)
            }
            Denied::Unavailable { wait } => (unavailable(*wait), Reason::LimitsUnavailable),
        };
        let mut response = Rejection::new("rate_limit", reason).into_response(&error, ask.dialect);
        if let Denied::Full { levels, .. } | Denied::TooLarge { levels, .. } = denied
            && self.tells
        {
            headers::write(&mut response, &ask.quota, levels);
        }
        response
    }
}

fn full(ask: &Ask, level: Option<&Level>, wait: Duration) -> ApiError {
    let mut message = String::from("Rate limit reached");
    let mut kind = "requests";
    if let Some(level) = level {
        let dimension = level.limit.dimension();
        kind = kind_of(dimension);
        let burst = level.limit.burst();
        let at_once = if burst == level.limit.amount() {
            String::new()
        } else {
            format!(", {burst} at once")
        };
        // Writing to a string cannot fail.
        let _ = write!(
            message,
            " ({}{at_once}): Limit {burst}, Used {}, Requested {}",
            level.limit,
            level.used,
            ask.amounts.get(dimension),
        );
    }
    let _ = write!(
        message,
        ". Please try again in {}.",
        headers::go_duration(wait)
    );
    limited(kind, message, wait)
}

/// OpenAI's form: the type says what is limited.
fn limited(kind: &'static str, message: String, wait: Duration) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, kind, message)
        .with_code("rate_limit_exceeded")
        .with_retry_after(wait)
}

fn unavailable(wait: Duration) -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "server_error",
        "Rate limits cannot be checked at the moment. Please try again.",
    )
    .with_code("rate_limits_unavailable")
    .with_retry_after(wait)
}

fn too_large(ask: &Ask, level: Option<&Level>) -> ApiError {
    let mut message = String::from("Request too large");
    if let Some(level) = level {
        let requested = ask.amounts.get(level.limit.dimension());
        let _ = write!(
            message,
            " ({}): at most {} at once, Requested {requested}. No wait will help: shorten the prompt or lower the cap on the answer.",
            level.limit,
            level.limit.burst(),
        );
    }
    ApiError::invalid_request(message).with_code("request_too_large")
}

fn kind_of(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Requests => "requests",
        _ => "tokens",
    }
}

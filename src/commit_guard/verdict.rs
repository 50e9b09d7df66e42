//! What is wrong with an answer, and how its caller is told.

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Response, StatusCode, header, response::Parts};

use crate::message::{
    ApiError, Dialect, Failure, Media, Outcome, Phase, Reason, Rejection, ResponseBody,
    classify_error,
};

/// Why an answer cannot go on.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// It states an error itself.
    Stated(Box<ApiError>),
    /// It says that the model stopped for something that is a failure.
    Finish(Outcome),
    Truncated,
    /// It ended without saying anything.
    Empty,
    NotJson,
    Broken,
    /// The request's deadline passed.
    Deadline,
    FirstToken,
    Idle,
    Slow,
}

impl Trouble {
    /// Of an answer that broke for `failure` by itself.
    pub(super) fn of(failure: Failure) -> Self {
        match failure {
            Failure::Truncated => Self::Truncated,
            Failure::Deadline => Self::Deadline,
            Failure::Body | Failure::Stated | Failure::Transform => Self::Broken,
        }
    }

    pub(super) fn error(&self) -> ApiError {
        let (status, code, message) = match self {
            Self::Stated(error) => return (**error).clone(),
            Self::Finish(Outcome::Overloaded { .. }) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "server_is_overloaded",
                "the upstream ran out of resources before it had answered",
            ),
            Self::Finish(_) => (
                StatusCode::BAD_GATEWAY,
                "upstream_error",
                "the upstream failed before it had answered",
            ),
            Self::Truncated => (
                StatusCode::BAD_GATEWAY,
                "upstream_truncated",
                "the upstream's answer ended before it was whole",
            ),
            Self::Empty => (
                StatusCode::BAD_GATEWAY,
                "upstream_truncated",
                "the upstream's answer ended before it said anything",
            ),
            Self::NotJson => (
                StatusCode::BAD_GATEWAY,
                "upstream_truncated",
                "the upstream's answer is no JSON, or not all of it",
            ),
            Self::Broken => (
                StatusCode::BAD_GATEWAY,
                "upstream_error",
                "the upstream broke the connection before its answer was whole",
            ),
            Self::Deadline => (
                StatusCode::GATEWAY_TIMEOUT,
                "deadline_exceeded",
                "the request's deadline passed before its answer was whole",
            ),
            Self::FirstToken => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "the upstream did not begin to answer in time (phase: first token)",
            ),
            Self::Idle => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "the upstream fell silent before its answer was whole (phase: response body)",
            ),
            Self::Slow => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "the upstream's answer came too slowly (phase: response body)",
            ),
        };
        let kind = if status == StatusCode::GATEWAY_TIMEOUT {
            "timeout_error"
        } else {
            "upstream_error"
        };
        ApiError::new(status, kind, message).with_code(code)
    }

    /// The same as the end of an answer would mean by itself, but that the phase is known better.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Stated(error) => classify_error(error.status(), &HeaderMap::new(), error),
            Self::Finish(outcome) => *outcome,
            Self::NotJson => Outcome::ServerError,
            Self::Truncated | Self::Empty | Self::Broken => {
                Outcome::Transport { phase: Phase::Body }
            }
            Self::Deadline | Self::FirstToken | Self::Idle | Self::Slow => Outcome::Timeout {
                phase: self.phase(),
            },
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::FirstToken => Phase::FirstToken,
            _ => Phase::Body,
        }
    }

    /// What the end of an answer that is let go of for this counts as.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Stated(_) => Failure::Stated,
            Self::Truncated | Self::Empty | Self::NotJson => Failure::Truncated,
            Self::Finish(_) | Self::Broken => Failure::Body,
            Self::Deadline | Self::FirstToken | Self::Idle | Self::Slow => Failure::Deadline,
        }
    }

    /// The same in a few words, as the error of a body.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Stated(_) => "the upstream's answer states an error",
            Self::Truncated => "the upstream's answer ended before it was whole",
            Self::Idle => "the upstream fell silent",
            Self::Slow => "the upstream's answer came too slowly",
            _ => "the upstream's answer broke",
        }
    }

    /// The answer in place of one that was never begun.
    pub(super) fn refuse(&self, dialect: Dialect) -> Response<ResponseBody> {
        let error = self.error();
        let mut response = if matches!(self, Self::FirstToken | Self::Idle) {
            Rejection::new("commit_guard", Reason::Timeout(self.phase()))
                .into_response(&error, dialect)
        } else {
            let status = error.status().as_u16();
            tracing::debug!(status, outcome = self.outcome().as_str(), "{}", self.what());
            error.to_response(dialect)
        };
        response.extensions_mut().insert(self.outcome());
        response
    }

    /// The answer in place of `response`, of which nothing was handed on: its headers stay, but those that describe its
    /// bytes, and its extensions.
    pub(super) fn replace(
        &self,
        response: Response<ResponseBody>,
        dialect: Dialect,
    ) -> Response<ResponseBody> {
        const STALE: [HeaderName; 9] = [
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
            header::TRANSFER_ENCODING,
            header::TRAILER,
            header::ETAG,
            header::ACCEPT_RANGES,
            HeaderName::from_static("content-md5"),
            HeaderName::from_static("digest"),
            HeaderName::from_static("content-digest"),
        ];
        let (parts, body) = response.into_parts();
        body.give_up(self.failure());
        let Parts {
            mut headers,
            mut extensions,
            version,
            ..
        } = parts;
        for name in STALE {
            headers.remove(name);
        }
        let mut refusal = self.refuse(dialect);
        for (name, value) in std::mem::take(refusal.headers_mut()) {
            if let Some(name) = name {
                headers.insert(name, value);
            }
        }
        let own: Extensions = std::mem::take(refusal.extensions_mut());
        extensions.extend(own);
        *refusal.headers_mut() = headers;
        *refusal.extensions_mut() = extensions;
        *refusal.version_mut() = version;
        refusal
    }
}

/// The last event of a stream of `media` that breaks off with `error`; nothing where there are no events. `sequence_number` is the one
/// that follows the last event's in the Responses dialect.
pub(super) fn last_event(
    error: &ApiError,
    media: Media,
    dialect: Dialect,
    sequence_number: u64,
) -> Bytes {
    match (media, dialect) {
        (Media::EventStream, Dialect::Responses) => error.to_responses_event(sequence_number),
        (Media::EventStream, _) => error.to_event(dialect),
        (Media::JsonLines, _) => (error.to_json(dialect) + "\n").into(),
        (Media::Json | Media::Opaque, _) => Bytes::new(),
    }
}

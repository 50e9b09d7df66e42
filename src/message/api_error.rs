//! Errors as the callers of an LLM API know them.

use std::{borrow::Cow, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::ResponseBody;
use crate::wire::{
    json::{JsonError, JsonErrorKind},
    retry_after,
};

/// An error in the terms of OpenAI's API, written in the dialect that the caller's endpoint speaks.
///
/// ```
/// use http::StatusCode;
/// use tower_relay::message::{ApiError, Dialect};
///
/// let error = ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", "no such model: gpt-9")
///     .with_code("model_not_found")
///     .with_param("model");
/// assert_eq!(
///     error.to_json(Dialect::OpenAi),
///     r#"{"error":{"message":"no such model: gpt-9","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    message: Cow<'static, str>,
    kind: Cow<'static, str>,
    code: Option<Cow<'static, str>>,
    param: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

/// The shape in which an endpoint's callers expect errors.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `{"error":{message,type,param,code}}`
    #[default]
    OpenAi,
    /// `{"type":"error","error":{type,message}}`, of `/v1/messages`.
    Anthropic,
    /// OpenAI's Responses API: bodies as [`OpenAi`](Self::OpenAi), events inside a stream of their own shape.
    Responses,
}

impl ApiError {
    /// An error with its status, its `type` (such as `invalid_request_error`) and a message for people.
    pub fn new(
        status: StatusCode,
        kind: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            message: message.into(),
            kind: kind.into(),
            code: None,
            param: None,
            retry_after: None,
        }
    }

    /// A 400 of type `invalid_request_error`.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// The 401 for a caller who presents no API key.
    pub(crate) fn missing_api_key() -> Self {
        let message = "you did not provide an API key: send it as \"authorization: Bearer KEY\"";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
            .with_code("missing_api_key")
    }

    /// The 400 for a request that names no model where one is needed.
    pub(crate) fn missing_model() -> Self {
        Self::invalid_request("you must provide a model parameter")
            .with_param("model")
            .with_code("missing_required_parameter")
    }

    /// Adds the `code` that programs match on.
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the name of the request's member that is at fault.
    pub fn with_param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds the wait after which the same request may succeed: written as `retry-after` and `retry-after-ms`.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn in_answer(_: &[u8]) -> Option<Self> {
        None
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// OpenAI's `type`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// OpenAI's `code`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The member of the request that is at fault.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The wait after which the same request may succeed.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The error as a JSON body.
    pub fn to_json(&self, dialect: Dialect) -> String {
        let json = match dialect {
            Dialect::OpenAi | Dialect::Responses => serde_json::to_string(&OpenAiBody {
                error: OpenAiError {
                    message: &self.message,
                    r#type: &self.kind,
                    param: self.param.as_deref(),
                    code: self.code.as_deref(),
                },
            }),
            Dialect::Anthropic => serde_json::to_string(&AnthropicBody {
                r#type: "error",
                error: AnthropicError {
                    r#type: self.anthropic_kind(),
                    message: &self.message,
                },
            }),
        };
        // Strings always serialize.
        json.unwrap_or_default()
    }

    /// The error as a response.
    pub fn to_response(&self, dialect: Dialect) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::from(self.to_json(dialect)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(wait) = self.retry_after {
            retry_after::write(headers, wait);
        }
        response
    }

    /// Anthropic's error types follow the status
    /// (<https://platform.claude.com/docs/en/api/errors>, read 2026-11).
    fn anthropic_kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            409 => "conflict_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            408 | 504 => "timeout_error",
            503 | 529 => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.status.as_u16(),
            self.kind,
            self.message
        )
    }
}

impl std::error::Error for ApiError {}

/// A request that cannot be read is the caller's error: the message says what is wrong, and where.
impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        Self::from(&error)
    }
}

impl From<&JsonError> for ApiError {
    fn from(error: &JsonError) -> Self {
        let refused = Self::invalid_request(format!("the request's body cannot be read: {error}"))
            .with_code("invalid_json");
        match error.kind() {
            JsonErrorKind::DuplicateMember { name } => refused.with_param(name.clone()),
            _ => refused,
        }
    }
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropic_callers_get_anthropics_shape() {
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "requests", "slow \"down\"");
        assert_eq!(
            error.to_json(Dialect::Anthropic),
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow \"down\""}}"#,
        );
    }

    #[test]
    fn all_four_members_are_there_even_when_empty() {
        assert_eq!(
            ApiError::invalid_request("x").to_json(Dialect::OpenAi),
            r#"{"error":{"message":"x","type":"invalid_request_error","param":null,"code":null}}"#,
        );
    }

    #[test]
    fn a_wait_becomes_both_headers_rounded_up() {
        let error = ApiError::invalid_request("x").with_retry_after(Duration::from_millis(1500));
        let response = error.to_response(Dialect::OpenAi);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["retry-after-ms"], "1500");
        assert_eq!(response.headers()["content-type"], "application/json");
    }
}

//! Errors as the callers of an LLM API know them.

mod in_answer;
mod legible;
mod members;
mod read;
mod secret;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod write;

pub(crate) use self::legible::{legible, may_be_illegible};

use std::{borrow::Cow, time::Duration};

use http::StatusCode;

use crate::wire::json::{JsonError, JsonErrorKind};

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
    /// As it was stated.
    kind: Option<Cow<'static, str>>,
    code: Option<Cow<'static, str>>,
    param: Option<Box<str>>,
    retry_after: Option<Duration>,
    details: Option<Box<Details>>,
}

/// Further codes and messages of a body that was read. Boxed, as most errors have none and many functions return errors.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Details(Vec<String>);

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
            kind: Some(kind.into()),
            code: None,
            param: None,
            retry_after: None,
            details: None,
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

    /// The 404 for a model that is not there, or not for whoever asks.
    pub(crate) fn model_not_found(model: &str) -> Self {
        // The name is the caller's: as much of it as one needs to know it again.
        let name: String = model.chars().take(128).collect();
        let message = format!("The model '{name}' does not exist or you do not have access to it.");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
            .with_param("model")
            .with_code("model_not_found")
    }

    /// The 415 for a body that would have to be read and is not JSON, or is compressed.
    pub(crate) fn unread_body() -> Self {
        let message =
            "the request's body must be JSON (\"content-type: application/json\"), not compressed";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid_request_error",
            message,
        )
        .with_code("unsupported_media_type")
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
        self.param = Some(param.into().into());
        self
    }

    /// Adds the wait after which the same request may succeed: written as `retry-after` and `retry-after-ms`.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// OpenAI's `type`; where a body that was read states none, the one that goes with the status.
    pub fn kind(&self) -> &str {
        self.stated_kind().unwrap_or(match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            402 => "insufficient_quota",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        })
    }

    /// The `type` that was stated.
    pub(super) fn stated_kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// OpenAI's `code`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The member of the request that is at fault.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// What else a body that was read says of the reason: codes and messages from where providers nest them, such as
    /// the ids of Gemini's quotas, Azure's `innererror` and the error of the upstream that OpenRouter passes on. At most 16,
    /// each of at most 1 KiB.
    pub fn details(&self) -> impl Iterator<Item = &str> {
        self.details
            .iter()
            .flat_map(|details| &details.0)
            .map(String::as_str)
    }

    /// The wait after which the same request may succeed.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.status.as_u16(),
            self.kind(),
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

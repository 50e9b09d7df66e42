use http::StatusCode;
use serde_json::{Value, json};

/// Why a request was not answered, before a provider gives it a shape.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) code: Option<&'static str>,
    pub(super) param: Option<&'static str>,
    pub(super) message: String,
    /// In seconds.
    pub(super) retry_after: Option<u32>,
    pub(super) overflow: Option<Overflow>,
}

/// A prompt longer than a model's window, both in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overflow {
    pub(super) prompt: u64,
    pub(super) window: u64,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: "invalid_request_error",
            code: None,
            param: None,
            message: message.into(),
            retry_after: None,
            overflow: None,
        }
    }

    /// A 400 about one parameter.
    pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param),
            ..Self::new(StatusCode::BAD_REQUEST, message)
        }
    }

    pub(super) fn unknown_model() -> Self {
        Self {
            code: Some("model_not_found"),
            param: Some("model"),
            ..Self::new(
                StatusCode::NOT_FOUND,
                "The requested model does not exist or you do not have access to it.",
            )
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self {
            code: Some("invalid_api_key"),
            ..Self::new(StatusCode::UNAUTHORIZED, "Incorrect or missing API key.")
        }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The request body is larger than {limit} bytes."),
        )
    }

    pub(super) fn context_overflow(prompt: u64, window: u64) -> Self {
        Self {
            code: Some("context_length_exceeded"),
            overflow: Some(Overflow { prompt, window }),
            ..Self::invalid(
                "messages",
                format!(
                    "This model's maximum context length is {window} tokens. However, your messages resulted in {prompt} \
                     tokens. Please reduce the length of the messages."
                ),
            )
        }
    }

    /// What OpenAI says with `status`, when a caller asks for it.
    pub(super) fn on_request(status: StatusCode) -> Self {
        let (kind, code, message) = match status.as_u16() {
            401 => return Self::unauthorized(),
            404 => return Self::unknown_model(),
            403 => (
                "permission_error",
                None,
                "You are not allowed to use this model.",
            ),
            408 | 504 => ("timeout", None, "The request timed out."),
            429 => (
                "requests",
                Some("rate_limit_exceeded"),
                "Rate limit reached for requests. Please try again in 1s.",
            ),
            503 => (
                "service_unavailable_error",
                Some("server_is_overloaded"),
                "The server is currently overloaded. Please try again later.",
            ),
            500.. => (
                "server_error",
                None,
                "The server had an error while processing your request. Sorry about that!",
            ),
            _ => (
                "invalid_request_error",
                None,
                "This request was refused because it asked to be.",
            ),
        };
        let retry_after = (status == StatusCode::TOO_MANY_REQUESTS).then_some(1);
        Self {
            kind,
            code,
            retry_after,
            ..Self::new(status, message)
        }
    }

    /// OpenAI's error object: `{"error":{"message","type","param","code"}}`.
    pub(super) fn openai(&self) -> Value {
        json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }
}

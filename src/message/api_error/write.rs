//! An error in the dialect of whoever asked.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{ApiError, Dialect};
use crate::{
    message::{Media, ResponseBody},
    wire::retry_after,
};

impl ApiError {
    /// The error as a JSON body.
    ///
    /// A `code` that is but an HTTP status, as OpenRouter, vLLM and llama.cpp give, becomes OpenAI's word for it where there
    /// is one (`rate_limit_exceeded` for `429`), and `null` otherwise: the callers' programs match on words.
    pub fn to_json(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::OpenAi | Dialect::Responses => to_string(&OpenAiBody {
                error: self.openai(),
            }),
            Dialect::Anthropic => to_string(&AnthropicBody {
                r#type: "error",
                error: AnthropicError {
                    r#type: self.anthropic_kind(),
                    message: &self.message,
                },
            }),
        }
    }

    /// The error as an event inside a stream: how a stream ends that cannot go on. Nothing may follow it, `[DONE]` neither.
    ///
    /// In the Responses dialect its `sequence_number` is 0; see [`to_responses_event`](Self::to_responses_event).
    pub fn to_event(&self, dialect: Dialect) -> Bytes {
        let json = match dialect {
            Dialect::OpenAi => return format!("data: {}\n\n", self.to_json(dialect)).into(),
            Dialect::Anthropic => self.to_json(dialect),
            Dialect::Responses => return self.to_responses_event(0),
        };
        format!("event: error\ndata: {json}\n\n").into()
    }

    /// The `error` event of a Responses stream, with the number that follows the last event's.
    ///
    /// It says the same twice. The published schema has `code`, `message` and `param` beside `type`, and typed readers
    /// look there; OpenAI's server really sends them in an `error` object, and the official SDKs raise an exception only for
    /// that.
    pub fn to_responses_event(&self, sequence_number: u64) -> Bytes {
        let error = self.openai();
        let json = to_string(&ResponsesEvent {
            r#type: "error",
            sequence_number,
            code: error.code,
            message: error.message,
            param: error.param,
            error: &error,
        });
        format!("event: error\ndata: {json}\n\n").into()
    }

    /// The error as a response.
    pub fn to_response(&self, dialect: Dialect) -> Response<ResponseBody> {
        let mut response =
            Response::new(ResponseBody::from(self.to_json(dialect)).with_media(Media::Json));
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

    fn openai(&self) -> OpenAiError<'_> {
        let code = self.code().and_then(|code| {
            let is_status = code.len() == 3 && code.bytes().all(|digit| digit.is_ascii_digit());
            if is_status {
                word_for(code)
            } else {
                Some(code)
            }
        });
        OpenAiError {
            message: &self.message,
            r#type: self.kind(),
            param: self.param(),
            code,
        }
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

/// The `code` that OpenAI's own API gives with a status.
fn word_for(status: &str) -> Option<&'static str> {
    match status {
        "401" => Some("invalid_api_key"),
        "402" => Some("insufficient_quota"),
        "429" => Some("rate_limit_exceeded"),
        "503" | "529" => Some("server_is_overloaded"),
        _ => None,
    }
}

fn to_string(body: &impl Serialize) -> String {
    // Strings and numbers always serialize.
    serde_json::to_string(body).unwrap_or_default()
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
struct ResponsesEvent<'a> {
    r#type: &'static str,
    sequence_number: u64,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
    error: &'a OpenAiError<'a>,
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
    use std::time::Duration;

    use http::StatusCode;

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

    #[test]
    fn each_dialect_has_its_event() {
        let error = ApiError::new(StatusCode::BAD_GATEWAY, "server_error", "broke\noff")
            .with_code("truncated");
        assert_eq!(
            error.to_event(Dialect::OpenAi),
            "data: {\"error\":{\"message\":\"broke\\noff\",\"type\":\"server_error\",\"param\":null,\
             \"code\":\"truncated\"}}\n\n"
        );
        assert_eq!(
            error.to_event(Dialect::Anthropic),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"broke\\noff\"}}\n\n"
        );
        assert_eq!(
            error.to_responses_event(7),
            "event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,\"code\":\"truncated\",\
             \"message\":\"broke\\noff\",\"param\":null,\"error\":{\"message\":\"broke\\noff\",\
             \"type\":\"server_error\",\"param\":null,\"code\":\"truncated\"}}\n\n"
        );
        assert!(
            error
                .to_event(Dialect::Responses)
                .starts_with(b"event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,")
        );
    }

    #[test]
    fn a_code_that_is_but_a_status_becomes_openais_word_or_null() {
        for (code, written) in [
            ("429", r#""rate_limit_exceeded""#),
            ("401", r#""invalid_api_key""#),
            ("400", "null"),
            ("1113", r#""1113""#),
            ("model_not_found", r#""model_not_found""#),
        ] {
            let json = ApiError::invalid_request("x")
                .with_code(code)
                .to_json(Dialect::OpenAi);
            assert!(json.contains(&format!(r#""code":{written}"#)), "{json}");
        }
    }
}

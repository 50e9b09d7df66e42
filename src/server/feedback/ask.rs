//! A score as callers post it.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::{ApiError, RequestBody};

/// The longest that is read, in bytes.
const MAX: usize = 16 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) request_id: String,
    pub(super) score: f64,
}

/// What becomes of it.
#[derive(Debug, Serialize)]
pub(super) struct Taken<'a> {
    pub(super) request_id: &'a str,
    pub(super) upstream: &'a str,
    pub(super) score: f64,
}

pub(super) async fn read(request: Request<RequestBody>) -> Result<Ask, ApiError> {
    if request.method() != Method::POST {
        let message = "feedback is posted";
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request_error",
            message,
        ));
    }
    let body = Limited::new(request.into_body(), MAX).collect().await;
    let Ok(body) = body.map(http_body_util::Collected::to_bytes) else {
        let message = format!("feedback has at most {MAX} bytes");
        return Err(ApiError::invalid_request(message));
    };
    parse(&body)
}

fn parse(body: &Bytes) -> Result<Ask, ApiError> {
    let ask: Ask = serde_json::from_slice(body).map_err(|error| {
        let message = format!("feedback is {{\"request_id\", \"score\"}}: {error}");
        let refused = ApiError::invalid_request(message);
        match wrong_member(body, &error) {
            Some(member) => refused.with_param(member),
            None => refused,
        }
    })?;
    if !(0.0..=1.0).contains(&ask.score) {
        let message = "score must be from 0 to 1";
        return Err(ApiError::invalid_request(message).with_param("score"));
    }
    Ok(ask)
}

/// Which member is missing, unknown or of another type, where it is JSON at all.
fn wrong_member(body: &Bytes, error: &serde_json::Error) -> Option<String> {
    if !error.is_data() {
        return None;
    }
    let reason = error.to_string();
    let mut kinds = ["missing", "unknown", "duplicate"].into_iter();
    let named = kinds.find_map(|kind| reason.strip_prefix(kind)?.strip_prefix(" field `"));
    if let Some(named) = named {
        return named.split('`').next().map(ToOwned::to_owned);
    }
    let members: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let is_text = members.get("request_id").is_some_and(Value::is_string);
    Some(if is_text { "score" } else { "request_id" }.to_owned())
}

pub(super) fn unknown() -> ApiError {
    let message = "No answer to a request of yours is remembered under this request_id: it is not known, or too long ago.";
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        .with_param("request_id")
        .with_code("request_not_found")
}

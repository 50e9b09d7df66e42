//! Reading the errors of all providers.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode, header};
use serde_json::{Deserializer, Value};

use super::{
    ApiError, Details,
    shape::Shape,
    text::{MAX_WORD, cut, words},
};
use crate::{
    message::outcome,
    wire::{clock, retry_after},
};

/// As much of a body is read, in bytes.
pub(super) const MAX_BODY: usize = 64 << 10;

impl ApiError {
    /// Reads the answer of an upstream that failed: JSON of any provider's shape, a web page, plain text, or nothing.
    ///
    /// The message is never empty, and at most 4 KiB long; type, code and param at most 256 bytes. Only the first 64 KiB of
    /// `body` are read, and nothing of one that is compressed. A `code` that is a number becomes a string.
    ///
    /// A status below 400 is replaced by what the body states or implies, as in [`in_answer`](Self::in_answer).
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use tower_relay::message::ApiError;
    ///
    /// let body = br#"{"error":{"code":429,"message":"Quota exceeded. Please retry in 48.9s.","status":"RESOURCE_EXHAUSTED"}}"#;
    /// let error = ApiError::read(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
    /// assert_eq!(error.message(), "Quota exceeded. Please retry in 48.9s.");
    /// assert_eq!((error.kind(), error.code()), ("RESOURCE_EXHAUSTED", Some("429")));
    /// assert_eq!(error.retry_after().unwrap().as_millis(), 48_900);
    /// ```
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let is_encoded = headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| encoding != "identity");
        let body = if is_encoded {
            &[]
        } else {
            body.get(..MAX_BODY).unwrap_or(body)
        };
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        let json = parse(text);
        let mut shape = json.as_ref().map(Shape::read).unwrap_or_default();
        if shape.message.is_none() && json.is_none() {
            let is_page = text.starts_with('<');
            shape.message = words(text).map(|words| {
                if is_page {
                    format!("{}: {words}", unexplained(status))
                } else {
                    words
                }
            });
        }
        // AWS: `ValidationException:http://internal.amazon.com/…`
        if let Some(name) = headers
            .get("x-amzn-errortype")
            .and_then(|name| name.to_str().ok())
        {
            let name = name.split(':').next().and_then(|name| cut(name, MAX_WORD));
            shape.kind = name.or(shape.kind);
        }
        Self::of_shape(status, headers, shape, text)
    }

    /// The error that `shape` describes; `text` is where it was read.
    pub(super) fn of_shape(
        status: StatusCode,
        headers: &HeaderMap,
        shape: Shape,
        text: &str,
    ) -> Self {
        let is_stated = status.as_u16() >= 400;
        let stated = shape
            .status
            .and_then(|status| StatusCode::from_u16(status).ok());
        let status = if is_stated {
            status
        } else {
            stated.unwrap_or(StatusCode::BAD_GATEWAY)
        };
        let mut error = Self {
            status,
            message: shape
                .message
                .map_or_else(|| unexplained(status).into(), Cow::Owned),
            kind: shape.kind.map(Cow::Owned),
            code: shape.code.map(Cow::Owned),
            param: shape.param.map(String::into_boxed_str),
            retry_after: None,
            details: (!shape.details.is_empty()).then(|| Box::new(Details(shape.details))),
        };
        if !is_stated && stated.is_none() {
            error.status = outcome::implied_status(&error);
        }
        let now = clock::now();
        error.retry_after = retry_after::from_headers(error.status, headers, now)
            .or_else(|| retry_after::from_headers(error.status, &shape.headers, now))
            .or_else(|| retry_after::from_message(text));
        error
    }
}

/// The first JSON value of `text`, which may be framed as an event: an upstream that was asked for a stream may fail in one.
fn parse(text: &str) -> Option<Value> {
    let first = |text| {
        Deserializer::from_str(text)
            .into_iter::<Value>()
            .next()?
            .ok()
    };
    first(text).filter(|value| !value.is_number()).or_else(|| {
        // llama.cpp wrote `error:` for `data:` until September 2025 (ggml-org/llama.cpp#16109).
        let mut lines = text.lines().take(8);
        lines.find_map(|line| {
            first(
                line.strip_prefix("data:")
                    .or_else(|| line.strip_prefix("error:"))?,
            )
        })
    })
}

fn unexplained(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("the upstream answered {} {reason}", status.as_u16()),
        None => format!("the upstream answered {}", status.as_u16()),
    }
}

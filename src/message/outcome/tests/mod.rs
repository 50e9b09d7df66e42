mod answers;
mod ended;
mod meanings;
mod overflows;
mod retries;
mod table;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Outcome, classify_error};
use crate::message::ApiError;

/// The outcome of an answer, with its headers as pairs.
fn outcome(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Outcome {
    let status = StatusCode::from_u16(status).unwrap();
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
    let error = ApiError::read(status, &headers, body.as_bytes());
    assert!(!error.message().is_empty(), "{status} {body}");
    classify_error(status, &headers, &error)
}

/// What became of each row of a table of (status, body, label).
fn check(rows: &[(u16, &str, &str)]) {
    for (status, body, label) in rows {
        assert_eq!(
            outcome(*status, &[], body).as_str(),
            *label,
            "{status} {body}"
        );
    }
}

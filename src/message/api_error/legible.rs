//! Errors that no client could read.

use http::{HeaderName, Response, header};
use serde::de::IgnoredAny;

use super::{ApiError, Dialect};
use crate::message::{Outcome, ResponseBody, outcome::read_ahead};

/// Headers that describe the bytes of an answer.
const STALE: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::ETAG,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
];

/// Whether `response` is an error of the upstream's own, whose body may be anything.
pub(crate) fn may_be_illegible(response: &Response<ResponseBody>) -> bool {
    Outcome::of_head(response).is_none()
        && !response.headers().contains_key(header::CONTENT_ENCODING)
}

/// An error whose body is JSON, to its end, as it is; any other in the caller's dialect: a web page, plain text, nothing, or what
/// broke off. The rest of the headers stays.
///
/// Reads as much as [`classify`](crate::message::classify) does, and passes what is longer.
pub(crate) async fn legible(
    mut response: Response<ResponseBody>,
    dialect: Dialect,
) -> Response<ResponseBody> {
    let (body, is_whole) = read_ahead(response.body_mut()).await;
    let is_json = || {
        matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
            && serde_json::from_slice::<IgnoredAny>(&body).is_ok()
    };
    let is_long = body.len() >= super::read::MAX_BODY;
    if is_long || is_whole && is_json() {
        return response;
    }
    let error = ApiError::read(response.status(), response.headers(), &body);
    let (told, body) = error.to_response(dialect).into_parts();
    for name in STALE {
        response.headers_mut().remove(name);
    }
    response.headers_mut().extend(told.headers);
    response.map(|_| body)
}

//! Errors that no client could read.

use http::{HeaderMap, HeaderName, Response, header};
use serde::de::IgnoredAny;

use super::{ApiError, Dialect, secret::Secret};
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

/// An error whose body is JSON, to its end, as it is; any other in the caller's `dialect`, where there is one: a web page, plain text,
/// nothing, or what broke off. The rest of the headers stays. The `secret` is blotted out wherever it stands.
///
/// Reads as much as [`classify`](crate::message::classify) does, and passes what is longer, unless the secret stands in what was read.
pub(crate) async fn legible(
    mut response: Response<ResponseBody>,
    dialect: Option<Dialect>,
    secret: Option<&[u8]>,
) -> Response<ResponseBody> {
    let (read, is_whole) = read_ahead(response.body_mut()).await;
    let secret = secret.map(Secret::new);
    let read = read.freeze();
    let without = secret.as_ref().and_then(|secret| secret.blot(&read));
    if let Some(secret) = &secret {
        secret.drop_headers(response.headers_mut());
    }
    let has_secret = without.is_some();
    let body = without.unwrap_or(read);
    let is_json = || {
        matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
            && serde_json::from_slice::<IgnoredAny>(&body).is_ok()
    };
    let is_long = body.len() >= super::read::MAX_BODY;
    let is_fit = dialect.is_none() || is_whole && is_json();
    if !has_secret && (is_long || is_fit) {
        return response;
    }
    if has_secret && is_whole && is_fit {
        remove_stale(response.headers_mut());
        return response.map(|before| ResponseBody::from(body).with_media(before.media()));
    }
    let error = ApiError::read(response.status(), response.headers(), &body);
    let dialect = dialect.unwrap_or(Dialect::OpenAi);
    let (told, body) = error.to_response(dialect).into_parts();
    remove_stale(response.headers_mut());
    response.headers_mut().extend(told.headers);
    response.map(|_| body)
}

fn remove_stale(headers: &mut HeaderMap) {
    for name in STALE {
        headers.remove(name);
    }
}

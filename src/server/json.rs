//! Small JSON answers.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::message::{Media, ResponseBody};

/// `value` as an answer.
pub(super) fn respond(status: StatusCode, value: &impl Serialize) -> Response<ResponseBody> {
    // What is serialized here are plain structs of strings and numbers: that cannot fail.
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut response = Response::new(ResponseBody::from(text).with_media(Media::Json));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

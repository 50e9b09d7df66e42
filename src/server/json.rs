//! Small JSON answers.

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;

use crate::message::{ApiError, Media, ResponseBody};

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

/// Refuses what is not to be read.
#[cfg(feature = "admin")]
pub(super) fn only_get(method: &Method) -> Result<(), ApiError> {
    if *method == Method::GET || *method == Method::HEAD {
        return Ok(());
    }
    let message = "this can only be read: use GET";
    Err(ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        message,
    ))
}

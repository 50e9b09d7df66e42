//! Small answers.

use http::{HeaderValue, Response, StatusCode, header};
#[cfg(feature = "admin")]
use http::{Method, header::CACHE_CONTROL};
use serde::Serialize;

#[cfg(feature = "admin")]
use crate::message::{ApiError, Dialect};
use crate::message::{Media, ResponseBody};

/// `value` as an answer.
pub(super) fn respond(status: StatusCode, value: &impl Serialize) -> Response<ResponseBody> {
    // What is serialized here are plain structs of strings and numbers: that cannot fail.
    let text = serde_json::to_string(value).unwrap_or_default();
    let body = ResponseBody::from(text).with_media(Media::Json);
    let mut response = of_media(body, "application/json");
    *response.status_mut() = status;
    response
}

fn of_media(body: ResponseBody, media: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let media = HeaderValue::from_static(media);
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// `body` for who asks now and for nobody later.
#[cfg(feature = "admin")]
pub(super) fn answered(body: ResponseBody, media: &'static str) -> Response<ResponseBody> {
    let mut response = of_media(body, media);
    let fresh = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, fresh);
    response
}

/// An answer, or why there is none.
#[cfg(feature = "admin")]
pub(super) fn or_error(answer: Result<Response<ResponseBody>, ApiError>) -> Response<ResponseBody> {
    answer.unwrap_or_else(|error| error.to_response(Dialect::OpenAi))
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

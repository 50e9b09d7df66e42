use std::fmt;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::{Events, RelayError, RelayErrorKind, error::request_id};
use crate::message::{ApiError, RequestId, ResponseBody, Served};

/// An answer that succeeded, as far as its head tells.
///
/// Dropping it cancels the request: at the upstream too, unless the answer had ended.
#[must_use = "dropping an answer cancels its request"]
pub struct Answer {
    response: Response<ResponseBody>,
    max: usize,
}

impl Answer {
    pub(super) fn new(response: Response<ResponseBody>, max: usize) -> Self {
        Self { response, max }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What layers told about it, such as [`Attempts`](crate::reserve::Attempts).
    pub fn extensions(&self) -> &Extensions {
        self.response.extensions()
    }

    /// Which upstream and model answered.
    pub fn served(&self) -> Option<&Served> {
        self.extensions().get()
    }

    /// The id under which the request stands in logs and audit.
    pub fn request_id(&self) -> Option<RequestId> {
        request_id(&self.response)
    }

    /// The whole body, as a value.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes); [`Decode`](RelayErrorKind::Decode) where it is not the JSON of a `T`, and [`Refused`](RelayErrorKind::Refused)
    /// where it is that of an error.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, RelayError> {
        let id = self.request_id();
        let bytes = self.bytes().await?;
        if let Some(error) = ApiError::in_answer(&bytes) {
            return Err(RelayError::stated(error, id));
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| RelayError::new(RelayErrorKind::Decode, error.into()))
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`Body`](RelayErrorKind::Body) where it breaks, [`TooLarge`](RelayErrorKind::TooLarge) where it is.
    pub async fn bytes(self) -> Result<Bytes, RelayError> {
        let body = Limited::new(self.response.into_body(), self.max);
        match body.collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(RelayError::of(RelayErrorKind::TooLarge))
            }
            Err(error) => Err(RelayError::new(RelayErrorKind::Body, error)),
        }
    }

    /// Its events, one after another, as they come.
    pub fn events(self) -> Events {
        let id = self.request_id();
        Events::new(self.response.into_body(), id, self.max)
    }

    /// The response itself, whose body is still to be read.
    pub fn into_response(self) -> Response<ResponseBody> {
        self.response
    }
}

/// Shows neither headers nor the body.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status())
            .field("served", &self.served())
            .finish_non_exhaustive()
    }
}

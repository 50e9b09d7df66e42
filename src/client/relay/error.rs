use std::{error::Error, fmt};

use http::{Response, StatusCode};

use crate::message::{
    ApiError, BoxError, Outcome, Rejection, RequestId, ResponseBody, classify, read_error,
};

/// Why a call of a [`Relay`](super::Relay) did not give what was asked for.
pub struct RelayError {
    kind: RelayErrorKind,
    source: Option<BoxError>,
    refused: Option<Box<Refused>>,
}

/// What kind of trouble a [`RelayError`] is.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelayErrorKind {
    /// The request could not be made: its path, a header, or a value that does not serialize.
    Request,
    /// A layer or the upstream answered with an error: [`RelayError::api_error`]. Also one that stands in an answer that had begun well.
    Refused,
    /// The stack failed without an answer.
    Stack,
    /// The answer broke before its end, or its deadline passed.
    Body,
    /// The stream ended without the event that ends one: what came of it is a part of the answer.
    Truncated,
    /// The answer, or one event of it, is longer than [`Relay::max_answer`](super::Relay::max_answer).
    TooLarge,
    /// The answer is not the JSON that was asked for.
    Decode,
    /// The answer is no stream of events.
    NotAStream,
}

struct Refused {
    error: ApiError,
    rejection: Option<Rejection>,
    outcome: Option<Outcome>,
    request_id: Option<RequestId>,
}

impl RelayError {
    pub(super) fn new(kind: RelayErrorKind, source: BoxError) -> Self {
        Self {
            kind,
            source: Some(source),
            refused: None,
        }
    }

    pub(super) fn of(kind: RelayErrorKind) -> Self {
        Self {
            kind,
            source: None,
            refused: None,
        }
    }

    /// What `response` says, whose status is no success.
    pub(super) async fn refused(response: Response<ResponseBody>) -> Self {
        let mut response = classify(response).await;
        let request_id = request_id(&response);
        let error = read_error(&mut response).await;
        let (rejection, outcome) = (
            response.extensions().get().copied(),
            response.extensions().get().copied(),
        );
        Self {
            kind: RelayErrorKind::Refused,
            source: None,
            refused: Some(Box::new(Refused {
                error,
                rejection,
                outcome,
                request_id,
            })),
        }
    }

    /// An error inside of an answer.
    pub(super) fn stated(error: ApiError, request_id: Option<RequestId>) -> Self {
        Self {
            kind: RelayErrorKind::Refused,
            source: None,
            refused: Some(Box::new(Refused {
                error,
                rejection: None,
                outcome: None,
                request_id,
            })),
        }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> RelayErrorKind {
        self.kind
    }

    /// What a layer or the upstream answered, in the terms of OpenAI's API, whichever provider it was.
    pub fn api_error(&self) -> Option<&ApiError> {
        self.refused.as_deref().map(|refused| &refused.error)
    }

    /// The status of such an answer.
    pub fn status(&self) -> Option<StatusCode> {
        self.api_error().map(ApiError::status)
    }

    /// Which layer of the stack refused, and why; `None` where the upstream did.
    pub fn rejection(&self) -> Option<&Rejection> {
        self.refused.as_deref()?.rejection.as_ref()
    }

    /// What the answer means for whoever would try again.
    pub fn outcome(&self) -> Option<Outcome> {
        self.refused.as_deref()?.outcome
    }

    /// The id under which the request stands in logs and audit.
    pub fn request_id(&self) -> Option<&RequestId> {
        self.refused.as_deref()?.request_id.as_ref()
    }
}

/// The id that an answer carries.
pub(super) fn request_id(response: &Response<ResponseBody>) -> Option<RequestId> {
    let stated = response.extensions().get().cloned();
    stated.or_else(|| RequestId::from_headers(response.headers()))
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RelayErrorKind::Refused => {
                return match self.api_error() {
                    Some(error) => error.fmt(f),
                    None => f.write_str("refused"),
                };
            }
            RelayErrorKind::Request => "the request cannot be made",
            RelayErrorKind::Stack => "the stack failed without an answer",
            RelayErrorKind::Body => "the answer broke before its end",
            RelayErrorKind::Truncated => "the stream ended before its answer did",
            RelayErrorKind::TooLarge => "the answer is too large",
            RelayErrorKind::Decode => "the answer is not the JSON that was asked for",
            RelayErrorKind::NotAStream => "the answer is no stream of events",
        })
    }
}

impl fmt::Debug for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RelayError");
        shown.field("kind", &self.kind);
        if let Some(refused) = &self.refused {
            shown.field("error", &refused.error);
            shown.field("rejection", &refused.rejection);
        }
        if let Some(source) = &self.source {
            shown.field("source", source);
        }
        shown.finish()
    }
}

impl Error for RelayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

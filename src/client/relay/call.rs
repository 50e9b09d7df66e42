use std::fmt;

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header::CONTENT_TYPE,
};
use serde::Serialize;

use super::{Answer, Relay, RelayError, RelayErrorKind};
use crate::message::RequestBody;

/// A request in the making, by [`Relay::post`] and its like. What cannot be a request is told by [`send`](Self::send).
#[must_use = "a call is made by `send`"]
pub struct Call {
    relay: Relay,
    method: Method,
    path: String,
    headers: HeaderMap,
    extensions: Extensions,
    body: RequestBody,
    wrong: Option<RelayError>,
}

impl Call {
    pub(super) fn new(relay: Relay, method: Method, path: &str) -> Self {
        Self {
            relay,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            extensions: Extensions::new(),
            body: RequestBody::empty(),
            wrong: None,
        }
    }

    /// Sets a header; one of the same name that was set before is replaced.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            (Err(error), _) => self.is_wrong(error.into()),
            (_, Err(error)) => self.is_wrong(error.into()),
        }
        self
    }

    /// Leaves `value` in the request's extensions, where layers look for it: [`Tags`](crate::message::Tags),
    /// [`Deadline`](crate::message::Deadline), [`Effects`](crate::message::Effects).
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// The body: `value` as JSON, with the content type that goes with it.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => self.body = RequestBody::json(text),
            Err(error) => self.is_wrong(error),
        }
        self.headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        self
    }

    /// The body, as it is: an upload, or JSON that is text already.
    pub fn body(mut self, body: RequestBody) -> Self {
        self.body = body;
        self
    }

    /// Sends it through the stack, to the head of an answer that succeeded.
    ///
    /// Dropping the future cancels the request, at its upstream too.
    ///
    /// # Errors
    /// [`Refused`](RelayErrorKind::Refused) where the status is no success: what a layer or the upstream answered, as an
    /// [`ApiError`](crate::message::ApiError). [`Request`](RelayErrorKind::Request) where the path, a header or the body cannot be sent.
    /// [`Stack`](RelayErrorKind::Stack) where the stack itself fails, which one with an [`EdgeLayer`](crate::server::EdgeLayer) or an
    /// [`UpstreamLayer`](crate::client::UpstreamLayer) never does.
    pub async fn send(self) -> Result<Answer, RelayError> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let wrong = |error| RelayError::new(RelayErrorKind::Request, error);
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::try_from(self.path).map_err(|error| wrong(error.into()))?;
        *request.headers_mut() = self.headers;
        *request.extensions_mut() = self.extensions;
        let response = self.relay.call(request).await;
        let response = response.map_err(|error| RelayError::new(RelayErrorKind::Stack, error))?;
        if response.status().is_success() {
            Ok(Answer::new(response, self.relay.settings.max_answer))
        } else {
            Err(RelayError::refused(response).await)
        }
    }

    /// The first thing that is wrong is what is told.
    fn is_wrong(&mut self, error: impl Into<crate::message::BoxError>) {
        self.wrong
            .get_or_insert_with(|| RelayError::new(RelayErrorKind::Request, error.into()));
    }
}

/// Shows neither headers nor the body.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

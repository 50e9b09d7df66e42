use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use tower_service::Service;

use super::{UpstreamFuture, hygiene, layer::Shared};
use crate::{
    client::{
        CredentialError,
        credential::{Key, caller_key},
    },
    message::{
        ApiError, BoxError, Dialect, Endpoint, Outcome, Reason, Rejection, RequestBody, ResponseBody, Served,
    },
};

/// The service of [`UpstreamLayer`](super::UpstreamLayer).
#[derive(Debug, Clone)]
pub struct Upstream<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Upstream<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<RequestBody>> for Upstream<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = UpstreamFuture<S>;

    /// Always ready: finding the credential may take a while, and the client is asked after it. A client's own error
    /// becomes a response.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> UpstreamFuture<S> {
        let attempt = Attempt {
            shared: Arc::clone(&self.shared),
            dialect: Endpoint::of(&request).dialect(),
            served: self.shared.served(request.body()),
        };
        if hygiene::is_upgrade(request.method(), request.headers()) {
            return UpstreamFuture::refused(refuse_upgrade(attempt.dialect));
        }
        let uri = match self.shared.location.uri(&request) {
            Ok(uri) => uri,
            Err(error) => {
                let rejection = Rejection::new("upstream", Reason::InvalidRequest);
                return UpstreamFuture::refused(rejection.into_response(&error, attempt.dialect));
            }
        };

        let credential = &self.shared.credential;
        let (mut parts, body) = request.into_parts();
        let find = credential.find(&parts);
        let caller = if credential.is_callers() { caller_key(&parts.headers) } else { None };
        parts.uri = uri;
        // hyper-util refuses an HTTP/2 request on an HTTP/1 connection; the version is between the client and the server.
        parts.version = Version::HTTP_11;
        hygiene::clean_request(&mut parts.headers, credential.is_callers());
        for (name, value) in &self.shared.headers {
            parts.headers.insert(name, value.clone());
        }
        let mut request = Request::from_parts(parts, body);
        match find {
            Some(find) => UpstreamFuture::find(self.inner.clone(), attempt, find, request),
            None => match attempt.authenticate(&mut request, caller, None) {
                Ok(()) => UpstreamFuture::send(self.inner.clone(), attempt, request),
                Err(response) => UpstreamFuture::refused(*response),
            },
        }
    }
}

/// What is kept of a request while the upstream works on it.
#[derive(Debug)]
pub(super) struct Attempt {
    shared: Arc<Shared>,
    dialect: Dialect,
    served: Served,
}

impl Attempt {
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn upstream(&self) -> &str {
        &self.shared.name
    }

    /// Sets the credential's header, or says why there is none.
    pub(super) fn authenticate(
        &self,
        request: &mut Request<RequestBody>,
        caller: Option<Key>,
        found: Option<Result<String, BoxError>>,
    ) -> Result<(), Box<Response<ResponseBody>>> {
        self.shared.credential.apply(request.headers_mut(), caller, found).map_err(|error| {
            let response = match error {
                CredentialError::Missing => {
                    let rejection = Rejection::new("upstream", Reason::Unauthenticated);
                    rejection.into_response(&ApiError::missing_api_key(), self.dialect)
                }
                CredentialError::Unavailable(cause) => {
                    tracing::error!(upstream = self.upstream(), error = %cause, "no credential");
                    let message = format!("the relay has no key for the upstream \"{}\" at present", self.upstream());
                    self.without_key(message)
                }
            };
            Box::new(response)
        })
    }

    /// The upstream's answer as the layers above get to see it.
    pub(super) fn finish(self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let mut response = match response.status() {
            StatusCode::UNAUTHORIZED if !self.shared.credential.is_callers() => self.key_rejected(),
            StatusCode::SWITCHING_PROTOCOLS => self.bad_answer("switched protocols, which was not asked for"),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                self.bad_answer("answered with a redirect, which is never followed: check its base URL")
            }
            _ => response,
        };
        hygiene::clean_response(response.headers_mut());
        response.extensions_mut().insert(self.served);
        response
    }

    /// A 401 would look as if the caller's key were wrong.
    fn key_rejected(&self) -> Response<ResponseBody> {
        tracing::error!(upstream = self.upstream(), "the upstream rejected the relay's key");
        let message = format!("the upstream \"{}\" rejected the relay's own key", self.upstream());
        self.without_key(message)
    }

    fn without_key(&self, message: String) -> Response<ResponseBody> {
        let error = ApiError::new(StatusCode::BAD_GATEWAY, "upstream_error", message).with_code("upstream_auth");
        let mut response = error.to_response(self.dialect);
        response.extensions_mut().insert(Outcome::UpstreamAuth);
        response
    }

    fn bad_answer(&self, what: &str) -> Response<ResponseBody> {
        let message = format!("the upstream \"{}\" {what}", self.upstream());
        ApiError::new(StatusCode::BAD_GATEWAY, "upstream_error", message)
            .with_code("upstream_bad_answer")
            .to_response(self.dialect)
    }
}

impl Shared {
    /// Who will answer. The model is named where the request has been read already: finding it out is not worth parsing
    /// a body that no layer needed to read.
    fn served(&self, body: &RequestBody) -> Served {
        let mut served = Served::by(Arc::clone(&self.name));
        served.credential = self.credential.name().cloned();
        if body.is_indexed() {
            served.model = body.model().map(Arc::from);
        }
        served
    }
}

fn refuse_upgrade(dialect: Dialect) -> Response<ResponseBody> {
    let message = "the relay passes requests and answers, not upgraded connections: connect to WebSocket and realtime \
                   APIs directly";
    let error = ApiError::new(StatusCode::NOT_IMPLEMENTED, "invalid_request_error", message)
        .with_code("upgrade_unsupported");
    Rejection::new("upstream", Reason::UpgradeUnsupported).into_response(&error, dialect)
}

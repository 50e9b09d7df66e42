use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body;
use tower_service::Service;

use super::{
    UpstreamFuture,
    hygiene::{self, Keeps},
    layer::Shared,
};
use crate::{
    client::{
        CredentialError,
        credential::{Key, caller_key},
    },
    message::{
        ApiError, BoxError, Dialect, Endpoint, Media, Outcome, Reason, Rejection, RequestBody,
        ResponseBody, Served, Trail, TransportError,
    },
};

/// The service of [`UpstreamLayer`](super::UpstreamLayer).
#[derive(Debug)]
pub struct Upstream<S> {
    inner: S,
    shared: Arc<Shared>,
    /// The client said, when it was asked whether it is ready, that it never will be.
    failed: Option<TransportError>,
}

impl<S: Clone> Clone for Upstream<S> {
    /// The clone asks for itself whether its client is ready.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.shared))
    }
}

impl<S> Upstream<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self {
            inner,
            shared,
            failed: None,
        }
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

    /// Ready when the client is; its error becomes a response. Where finding the credential may take a while it is always
    /// ready, and the client is asked after that.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if !self.shared.credential.takes_time()
            && self.failed.is_none()
            && let Err(error) = ready!(self.inner.poll_ready(cx))
        {
            self.failed = Some(TransportError::new(error));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> UpstreamFuture<S> {
        let endpoint = Endpoint::of(&request);
        let dialect = endpoint.dialect();
        if hygiene::is_upgrade(request.method(), request.headers()) {
            return UpstreamFuture::refused(refuse_upgrade(dialect));
        }
        let uri = match self.shared.location.uri(&request) {
            Ok(uri) => uri,
            Err(error) => {
                let rejection = Rejection::new("upstream", Reason::InvalidRequest);
                return UpstreamFuture::refused(rejection.into_response(&error, dialect));
            }
        };
        // After the address, which may have had to read the model.
        let served = self.shared.served(request.body());
        let mut attempt = Attempt {
            shared: Arc::clone(&self.shared),
            endpoint,
            served,
            sent: None,
        };
        if let Some(error) = self.failed.take() {
            let mut response = attempt.unreachable(error);
            attempt.finish(&mut response);
            return UpstreamFuture::refused(response);
        }

        let credential = &self.shared.credential;
        let find = credential.find(&request);
        let caller = if credential.is_callers() {
            caller_key(request.headers())
        } else {
            None
        };
        let presented = credential.presented(request.headers());
        *request.uri_mut() = uri;
        // hyper-util refuses an HTTP/2 request on an HTTP/1 connection; the version is between the client and the server.
        *request.version_mut() = Version::HTTP_11;
        let length = request.body().size_hint().exact();
        let headers = request.headers_mut();
        let keeps = Keeps {
            length: hygiene::states_length(headers, length),
            replaced: credential.header(),
        };
        let is_callers_key = credential.is_callers();
        hygiene::clean_request(headers, is_callers_key, &self.shared.strip_headers, &keeps);
        let host = self.shared.location.host().clone();
        request.headers_mut().insert(header::HOST, host);
        for (name, value) in &self.shared.headers {
            request.headers_mut().insert(name, value.clone());
        }
        if let Some(trail) = Trail::find(request.extensions()) {
            trail.sent();
        }
        for (name, mut value) in presented {
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        match find {
            Some(find) => UpstreamFuture::find(self.inner.clone(), attempt, find, request),
            None => match attempt.authenticate(&mut request, caller, None) {
                Ok(()) => UpstreamFuture::call(self.inner.call(request), attempt),
                Err(response) => UpstreamFuture::refused(*response),
            },
        }
    }
}

/// What is kept of a request while the upstream works on it.
#[derive(Debug)]
pub(super) struct Attempt {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    served: Served,
    /// The header with the key, where not every request is sent the same.
    sent: Option<HeaderValue>,
}

impl Attempt {
    fn upstream(&self) -> &str {
        &self.shared.name
    }

    fn dialect(&self) -> Dialect {
        self.endpoint.dialect()
    }

    /// What the caller is told when the client failed.
    pub(super) fn unreachable(&self, error: TransportError) -> Response<ResponseBody> {
        error.into_response(
            &format!("the upstream \"{}\"", self.upstream()),
            self.dialect(),
        )
    }

    /// Sets the credential's header, or says why there is none.
    pub(super) fn authenticate(
        &mut self,
        request: &mut Request<RequestBody>,
        caller: Option<Key>,
        found: Option<Result<String, BoxError>>,
    ) -> Result<(), Box<Response<ResponseBody>>> {
        let credential = &self.shared.credential;
        let applied = credential.apply(request.headers_mut(), caller, found);
        if credential.changes() {
            let name = credential.header();
            self.sent = name.and_then(|name| request.headers().get(name).cloned());
        }
        applied.map_err(|error| {
            let response = match error {
                CredentialError::Missing => {
                    let rejection = Rejection::new("upstream", Reason::Unauthenticated);
                    rejection.into_response(&ApiError::missing_api_key(), self.dialect())
                }
                CredentialError::Unavailable(cause) => {
                    tracing::error!(upstream = self.upstream(), error = %cause, "no credential");
                    let message = format!(
                        "the relay has no key for the upstream \"{}\" at present",
                        self.upstream()
                    );
                    self.without_key(message)
                }
            };
            Box::new(response)
        })
    }

    /// The upstream's answer as the layers above get to see it.
    pub(super) fn finish(self, response: &mut Response<ResponseBody>) {
        if let Some(instead) = self.instead_of(response) {
            *response = instead;
        }
        let is_callers_key = self.shared.credential.is_callers();
        hygiene::clean_response(response.headers_mut(), is_callers_key);
        // An HTTP/1.0 upstream must not cost the caller their connection, and hyper's server writes no HTTP/3.
        *response.version_mut() = Version::HTTP_11;
        response.extensions_mut().insert(self.served);
    }

    /// What the caller is told instead of an answer that is none.
    fn instead_of(&self, response: &Response<ResponseBody>) -> Option<Response<ResponseBody>> {
        Some(match response.status() {
            StatusCode::UNAUTHORIZED if !self.shared.credential.is_callers() => self.key_rejected(),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => self.bad_answer(
                "cannot be reached through the relay's proxy, which asks for a user name and password",
            ),
            StatusCode::SWITCHING_PROTOCOLS => {
                self.bad_answer("switched protocols, which was not asked for")
            }
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => self.bad_answer(
                "answered with a redirect, which is never followed: check its base URL",
            ),
            // Nothing that was asked for may be left out, and nothing was asked for under conditions.
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
                if self.endpoint.reads_json() =>
            {
                self.bad_answer("answered without an answer")
            }
            status if status.is_success() && self.endpoint.reads_json() && is_page(response) => {
                self.bad_answer("answered with a web page: check its base URL")
            }
            _ => return None,
        })
    }

    /// The key that was sent, where no caller is to learn it.
    pub(super) fn own_key(&self) -> Option<Key> {
        self.shared.credential.own_key(self.sent.as_ref())
    }

    /// The dialect in which a failure is told, at endpoints whose answers are read.
    pub(super) fn dialect_to_read(&self) -> Option<Dialect> {
        self.endpoint.reads_json().then(|| self.dialect())
    }

    /// A 401 would look as if the caller's key were wrong.
    fn key_rejected(&self) -> Response<ResponseBody> {
        tracing::error!(
            upstream = self.upstream(),
            "the upstream rejected the relay's key"
        );
        let message = format!(
            "the upstream \"{}\" rejected the relay's own key",
            self.upstream()
        );
        self.without_key(message)
    }

    fn without_key(&self, message: String) -> Response<ResponseBody> {
        let error = ApiError::new(StatusCode::BAD_GATEWAY, "upstream_error", message)
            .with_code("upstream_auth");
        let mut response = error.to_response(self.dialect());
        response.extensions_mut().insert(Outcome::UpstreamAuth);
        response
    }

    /// What sends requests astray sends the next one there too, so nobody is to try again.
    fn bad_answer(&self, what: &str) -> Response<ResponseBody> {
        let message = format!("the upstream \"{}\" {what}", self.upstream());
        let mut response = ApiError::new(StatusCode::BAD_GATEWAY, "upstream_error", message)
            .with_code("upstream_bad_answer")
            .to_response(self.dialect());
        let headers = response.headers_mut();
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
        response
    }
}

impl Shared {
    /// Who will answer. The model is named where the request has been read already: finding it out is not worth parsing
    /// a body that no layer needed to read.
    fn served(&self, body: &RequestBody) -> Served {
        let mut served = Served::by(Arc::clone(&self.name));
        served.credential = self.credential.name().cloned();
        served.host = Some(Arc::clone(&self.host));
        if body.is_indexed() {
            served.model = body.model().map(Arc::from);
        }
        served
    }
}

fn is_page(response: &Response<ResponseBody>) -> bool {
    // A type that layers read is none, and was looked up already.
    response.body().media() == Media::Opaque
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

fn refuse_upgrade(dialect: Dialect) -> Response<ResponseBody> {
    let message = "the relay passes requests and answers, not upgraded connections: connect to WebSocket and realtime \
                   APIs directly";
    let error = ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "invalid_request_error",
        message,
    )
    .with_code("upgrade_unsupported");
    Rejection::new("upstream", Reason::UpgradeUnsupported).into_response(&error, dialect)
}

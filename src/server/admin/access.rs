//! Who may read and change, and from where.

use std::{fmt, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, Request, StatusCode, Uri, header, uri::Authority};

use crate::{
    key::presented_bearer,
    message::{ApiError, ConfigError},
    server::tenants::KeyHash,
};

/// The shortest token, in bytes: what is shorter is guessed.
const MIN_TOKEN: usize = 16;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may read and change. Clones share it.
///
/// By default everyone may read and nobody change. A token is presented as `authorization: Bearer TOKEN` and nowhere else, so that no page of
/// another origin can make a browser send it. The host that is asked must be `localhost`, an IP address or one that is
/// [named](AccessBuilder::host): a page whose name somebody points at this machine (DNS rebinding) asks for another.
#[derive(Clone, Default)]
pub struct Access(Arc<ArcSwap<AccessBuilder>>);

/// Settings of an [`Access`].
#[derive(Clone, Default)]
#[must_use]
pub struct AccessBuilder {
    tokens: Vec<Token>,
    hosts: Vec<String>,
    token_to_read: bool,
}

#[derive(Clone)]
struct Token {
    name: Arc<str>,
    hash: KeyHash,
}

impl Access {
    /// Settings to choose before [`build`](AccessBuilder::build).
    pub fn builder() -> AccessBuilder {
        AccessBuilder::default()
    }

    /// Lets those who `other` lets from now on, and nobody else: as when a configuration replaces another.
    pub fn replace(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    /// Whether `request` may read.
    ///
    /// # Errors
    ///
    /// 403 where it asks for another host, 401 where it needs a token and has none.
    pub fn read<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        self.check_host(request.uri(), request.headers())?;
        if self.0.load().token_to_read {
            self.who(request.headers())?;
        }
        Ok(())
    }

    /// Whether `request` asks for a host that is this service's.
    pub(crate) fn host<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        self.check_host(request.uri(), request.headers()).map(drop)
    }

    /// Whether `request` may change something; the name of its token.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); and 403 where a page of another origin sends it, 415 where its body is not JSON.
    pub fn change<B>(&self, request: &Request<B>) -> Result<Arc<str>, ApiError> {
        let headers = request.headers();
        let asked = self.check_host(request.uri(), headers)?;
        check_origin(headers, asked.as_ref())?;
        let name = self.who(headers)?;
        let media = headers.get(header::CONTENT_TYPE);
        let media = media.and_then(|media| media.to_str().ok());
        let media = media.and_then(|media| media.split(';').next());
        if !media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
            let message = "changes are sent as content-type: application/json";
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        Ok(name)
    }

    /// Whose token it is. All are looked at, each in a time that does not tell where it differs.
    fn who(&self, headers: &HeaderMap) -> Result<Arc<str>, ApiError> {
        let wrong = |message, code| {
            Err(
                ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
                    .with_code(code),
            )
        };
        let settings = self.0.load();
        if settings.tokens.is_empty() {
            let message = "no token is set up, and without one nothing can be changed";
            return Err(refused(StatusCode::FORBIDDEN, message).with_code("no_tokens"));
        }
        let Some(presented) = presented_bearer(headers) else {
            return wrong(
                "this needs a token: authorization: Bearer TOKEN",
                "missing_token",
            );
        };
        let hash = KeyHash::of(presented);
        let matching = settings.tokens.iter().fold(None, |found, token| {
            if token.hash == hash {
                Some(token)
            } else {
                found
            }
        });
        match matching {
            Some(token) => Ok(Arc::clone(&token.name)),
            None => wrong("the token is not one of those set up", "invalid_token"),
        }
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, ApiError> {
        let stated = headers.get(header::HOST);
        let stated = stated.map(|host| Authority::try_from(host.as_bytes()));
        let stated = stated.transpose().ok();
        let asked = stated.map(|stated| stated.or_else(|| uri.authority().cloned()));
        // HTTP/1.0 may name none, and no browser speaks it.
        let Some(asked) = asked else {
            return Err(refused(StatusCode::BAD_REQUEST, "the host header is none"));
        };
        if let Some(asked) = &asked
            && !self.is_ours(asked.host())
        {
            let message = format!(
                "{:?} is not a name of this service: ask by its address, or name the host in its configuration",
                asked.host()
            );
            return Err(refused(StatusCode::FORBIDDEN, message).with_code("host_not_allowed"));
        }
        Ok(asked)
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let settings = self.0.load();
        let mut named = settings.hosts.iter();
        bare.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || named.any(|ours| ours.eq_ignore_ascii_case(host))
    }
}

/// A browser says which page sends a request: one of this very service.
fn check_origin(headers: &HeaderMap, asked: Option<&Authority>) -> Result<(), ApiError> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_other = text(&header::ORIGIN).is_some_and(|origin| {
        let from = origin.split_once("://").map(|(_, authority)| authority);
        from != asked.map(Authority::as_str)
    });
    let is_cross =
        text(&SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none");
    if is_other || is_cross {
        let message = "pages of other origins may not change anything here";
        return Err(refused(StatusCode::FORBIDDEN, message).with_code("cross_origin"));
    }
    Ok(())
}

fn refused(status: StatusCode, message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(status, "invalid_request_error", message)
}

impl AccessBuilder {
    /// Lets whoever presents `secret` change things, as `name`. Only its hash is kept.
    ///
    /// # Errors
    ///
    /// When it is shorter than 16 bytes, or cannot stand in a header.
    pub fn token(mut self, name: impl Into<Arc<str>>, secret: &str) -> Result<Self, ConfigError> {
        let secret = secret.trim();
        if secret.len() < MIN_TOKEN || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "must be 16 or more printable ASCII characters without spaces, as `openssl rand -hex 16` makes them";
            return Err(ConfigError::new("token", reason));
        }
        self.tokens.push(Token {
            name: name.into(),
            hash: KeyHash::of(secret),
        });
        Ok(self)
    }

    /// Also answers requests for this host, by its name without a port.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Whether a token is needed to read, too. Not by default.
    pub fn token_to_read(mut self, needed: bool) -> Self {
        self.token_to_read = needed;
        self
    }

    /// The access.
    pub fn build(self) -> Access {
        Access(Arc::new(ArcSwap::from_pointee(self)))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.load().fmt(f)
    }
}

impl fmt::Debug for AccessBuilder {
    /// The names of tokens alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.tokens.iter().map(|token| &token.name).collect();
        f.debug_struct("Access")
            .field("tokens", &names)
            .field("hosts", &self.hosts)
            .field("token_to_read", &self.token_to_read)
            .finish()
    }
}

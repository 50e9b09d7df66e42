//! The key that an upstream is called with.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};

use crate::{
    key::presented_api_key,
    message::{BoxError, ConfigError, RequestBody},
};

/// What an [`UpstreamLayer`](super::UpstreamLayer) authenticates with, and in which header.
///
/// A key is trimmed, may be required to have a prefix, is marked sensitive in the header, and is never shown: not by
/// `Debug`, not in an error, not in a log.
///
/// ```
/// use tower_relay::client::{Credential, Style};
///
/// let credential = Credential::key(" sk-test ")?.style(Style::XApiKey).named("team-a");
/// assert_eq!(format!("{credential:?}"), "Credential { name: Some(\"team-a\"), source: \"key\", style: XApiKey }");
///
/// let error = Credential::key_with_prefix("wrong-key", "sk-").unwrap_err();
/// assert_eq!(error.to_string(), "credential: the key does not begin with \"sk-\"");
/// # Ok::<(), tower_relay::message::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Credential {
    name: Option<Arc<str>>,
    source: Source,
    style: Style,
}

/// The header that a key is sent in.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Style {
    /// `authorization: Bearer KEY`
    #[default]
    Bearer,
    /// `x-api-key: KEY`, Anthropic's.
    XApiKey,
    /// `api-key: KEY`, Azure's.
    ApiKey,
    /// Any header, with the key after a prefix (such as `Token `, or none).
    Header {
        /// The header's name.
        name: HeaderName,
        /// What stands before the key.
        prefix: String,
    },
}

/// Why a request has no credential.
#[non_exhaustive]
#[derive(Debug)]
pub enum CredentialError {
    /// The caller was to bring a key of their own, and did not.
    Missing,
    /// The source of keys failed.
    Unavailable(BoxError),
}

pub(super) type KeyFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

type KeyOf = dyn Fn(&Request<RequestBody>) -> KeyFuture + Send + Sync;

#[derive(Clone)]
pub(super) enum Source {
    None,
    Static(HeaderValue),
    Caller,
    AsPresented,
    PerRequest(Arc<KeyOf>),
    Swapped(Arc<ArcSwap<Key>>),
}

impl Credential {
    /// Calls the upstream without a key.
    pub fn none() -> Self {
        Self::from_source(Source::None)
    }

    /// One fixed key.
    ///
    /// # Errors
    ///
    /// When it is empty, or cannot stand in a header.
    pub fn key(key: &str) -> Result<Self, ConfigError> {
        Self::key_with_prefix(key, "")
    }

    /// One fixed key, which must begin with `prefix`: catches a key of another provider before it is sent to this
    /// one.
    ///
    /// # Errors
    ///
    /// When it is empty, begins otherwise, or cannot stand in a header.
    pub fn key_with_prefix(key: &str, prefix: &str) -> Result<Self, ConfigError> {
        let key =
            Key::parse(key, prefix).map_err(|reason| ConfigError::new("credential", reason))?;
        let style = Style::default();
        let value = style.header(&key).1;
        Ok(Self {
            name: None,
            source: Source::Static(value),
            style,
        })
    }

    /// The caller's own key, taken from their `authorization: Bearer`, `x-api-key` or `api-key` and passed on in this
    /// credential's style. Who brings none is answered 401.
    pub fn caller() -> Self {
        Self::from_source(Source::Caller)
    }

    /// Whatever the caller has presented, in the header that it came in, or nothing.
    pub fn as_presented() -> Self {
        Self::from_source(Source::AsPresented)
    }

    /// A key for each request: from a vault, or chosen by what one's own auth layer left in the extensions.
    ///
    /// ```
    /// use tower_relay::client::Credential;
    ///
    /// # struct Vault;
    /// # impl Vault { async fn key_of(&self, _: &str) -> Result<String, std::io::Error> { Ok("k".into()) } }
    /// # let vault = std::sync::Arc::new(Vault);
    /// let credential = Credential::per_request(move |request| {
    ///     let vault = vault.clone();
    ///     let tenant = request.headers().get("x-tenant").map(|value| value.as_bytes().to_vec());
    ///     async move { Ok(vault.key_of(&String::from_utf8(tenant.unwrap_or_default())?).await?) }
    /// });
    /// ```
    pub fn per_request<F, R>(key_of: F) -> Self
    where
        F: Fn(&Request<RequestBody>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self::from_source(Source::PerRequest(Arc::new(move |request| {
            Box::pin(key_of(request))
        })))
    }

    pub(super) fn swapped(key: Arc<ArcSwap<Key>>) -> Self {
        Self::from_source(Source::Swapped(key))
    }

    fn from_source(source: Source) -> Self {
        Self {
            name: None,
            source,
            style: Style::default(),
        }
    }

    /// Sends the key in another header than `authorization`.
    pub fn style(mut self, style: Style) -> Self {
        if let Source::Static(value) = &self.source
            && let Some(key) = self.style.key_in(value)
        {
            self.source = Source::Static(style.header(&key).1);
        }
        self.style = style;
        self
    }

    /// Names the credential, for [`Served`](crate::message::Served), logs and bills.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The credential's name.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// Whether a key can be sent in this credential's style.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let reason = "the style's prefix has characters that cannot stand in a header";
        HeaderValue::from_str(self.style.prefix())
            .map(drop)
            .map_err(|_| ConfigError::new("credential", reason))
    }

    /// Whether the key is the caller's own, so that a rejection of it is the caller's business.
    pub(super) fn is_callers(&self) -> bool {
        matches!(self.source, Source::Caller | Source::AsPresented)
    }

    /// The headers of the caller's that go on as they are.
    pub(super) fn presented(&self, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        if !matches!(self.source, Source::AsPresented) {
            return Vec::new();
        }
        let styles = [
            Style::Bearer,
            Style::XApiKey,
            Style::ApiKey,
            self.style.clone(),
        ];
        let mut presented = Vec::new();
        for name in styles.iter().map(Style::name) {
            let value = headers.get(&name).cloned();
            presented.extend(value.map(|value| (name, value)));
        }
        presented
    }

    /// The header that the key is sent in, where one is sent.
    pub(super) fn header(&self) -> Option<HeaderName> {
        (!matches!(self.source, Source::None)).then(|| self.style.name())
    }

    /// Whether finding a request's key may take a while.
    pub(super) fn takes_time(&self) -> bool {
        matches!(self.source, Source::PerRequest(_))
    }

    /// The future that finds this request's key, where finding it may take a while.
    pub(super) fn find(&self, request: &Request<RequestBody>) -> Option<KeyFuture> {
        match &self.source {
            Source::PerRequest(key_of) => Some(key_of(request)),
            _ => None,
        }
    }

    /// The key itself, where it is the relay's own; `sent` is what [`apply`](Self::apply) set, where not every request has the same.
    pub(super) fn own_key(&self, sent: Option<&HeaderValue>) -> Option<Key> {
        let value = match &self.source {
            Source::Static(value) => value,
            Source::Swapped(_) | Source::PerRequest(_) => sent?,
            Source::None | Source::Caller | Source::AsPresented => return None,
        };
        self.style.key_in(value)
    }

    /// Whether another request may be sent another key.
    pub(super) fn changes(&self) -> bool {
        matches!(self.source, Source::Swapped(_) | Source::PerRequest(_))
    }

    /// Sets the credential's header; `found` is what [`find`](Self::find)'s future resolved to, `caller` what
    /// [`caller_key`] found before the caller's headers were removed.
    pub(super) fn apply(
        &self,
        headers: &mut HeaderMap,
        caller: Option<Key>,
        found: Option<Result<String, BoxError>>,
    ) -> Result<(), CredentialError> {
        let (name, value) = match (&self.source, found) {
            (Source::None | Source::AsPresented, _) => return Ok(()),
            (Source::Static(value), _) => (self.style.name(), value.clone()),
            (Source::Caller, _) => self.style.header(&caller.ok_or(CredentialError::Missing)?),
            (Source::Swapped(key), _) => self.style.header(&key.load()),
            (Source::PerRequest(_), Some(Ok(key))) => self.style.header(
                &Key::parse(&key, "")
                    .map_err(|reason| CredentialError::Unavailable(reason.into()))?,
            ),
            (Source::PerRequest(_), Some(Err(error))) => {
                return Err(CredentialError::Unavailable(error));
            }
            (Source::PerRequest(_), None) => {
                return Err(CredentialError::Unavailable("no key was asked for".into()));
            }
        };
        headers.insert(name, value);
        Ok(())
    }
}

impl Style {
    fn name(&self) -> HeaderName {
        match self {
            Self::Bearer => header::AUTHORIZATION,
            Self::XApiKey => HeaderName::from_static("x-api-key"),
            Self::ApiKey => HeaderName::from_static("api-key"),
            Self::Header { name, .. } => name.clone(),
        }
    }

    fn prefix(&self) -> &str {
        match self {
            Self::Bearer => "Bearer ",
            Self::XApiKey | Self::ApiKey => "",
            Self::Header { prefix, .. } => prefix,
        }
    }

    fn header(&self, key: &Key) -> (HeaderName, HeaderValue) {
        let text = [self.prefix(), &key.0].concat();
        // A key is checked when it is parsed, a prefix when the layer is built.
        let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        (self.name(), value)
    }

    fn key_in(&self, value: &HeaderValue) -> Option<Key> {
        value
            .to_str()
            .ok()?
            .strip_prefix(self.prefix())
            .map(|key| Key(key.to_owned()))
    }
}

/// A key that can stand in a header.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// `key` without the white space around it.
    pub(super) fn parse(key: &str, prefix: &str) -> Result<Self, String> {
        let key = key.trim();
        if key.is_empty() {
            Err("the key is empty".to_owned())
        } else if !key.starts_with(prefix) {
            Err(format!("the key does not begin with {prefix:?}"))
        } else if !key
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        {
            Err("the key has characters that cannot stand in a header".to_owned())
        } else {
            Ok(Self(key.to_owned()))
        }
    }
}

/// The key that a caller presents, in whichever header.
pub(super) fn caller_key(headers: &HeaderMap) -> Option<Key> {
    presented_api_key(headers).and_then(|key| Key::parse(key, "").ok())
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::None => "none",
            Source::Static(_) => "key",
            Source::Caller => "caller",
            Source::AsPresented => "as presented",
            Source::PerRequest(_) => "per request",
            Source::Swapped(_) => "file",
        };
        f.debug_struct("Credential")
            .field("name", &self.name)
            .field("source", &source)
            .field("style", &self.style)
            .finish()
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request has no API key",
            Self::Unavailable(_) => "the source of keys failed",
        })
    }
}

impl std::error::Error for CredentialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Missing => None,
            Self::Unavailable(source) => Some(&**source),
        }
    }
}

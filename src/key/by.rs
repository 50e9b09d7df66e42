//! Where a key is read from.

use std::{any::type_name, fmt, sync::Arc};

use http::{Extensions, HeaderMap, HeaderName, Request, StatusCode, header};

use super::{Identity, Key};
use crate::message::{ApiError, Chosen, ModelPattern, RequestBody};

/// Where a request's [`Key`] is read from. Two are equal where they read the same; by code of one's own, only where they are clones of each other.
#[derive(Clone, PartialEq)]
pub struct KeyBy {
    source: Source,
    missing: Missing,
}

/// What a request without the identity that is asked for means.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Missing {
    /// All such requests are counted together, under one key.
    #[default]
    Shared,
    /// It is not counted at all.
    Exempt,
    /// It is refused: 401 where an API key is missing, 400 otherwise.
    Refuse,
}

type ReadKey = Arc<dyn Fn(&Request<RequestBody>) -> Option<Key> + Send + Sync>;

#[derive(Clone)]
enum Source {
    Global,
    ApiKey,
    Header(HeaderName),
    Model(Option<Arc<[ModelPattern]>>),
    Upstream,
    Identity(IdentityPart),
    Extension(&'static str, ReadExtension),
    Custom(ReadKey),
}

/// Which of the keys of an [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdentityPart {
    Credential,
    Tenant,
    Team,
    Organisation,
}

impl IdentityPart {
    fn of(self, identity: &Identity) -> Option<&Key> {
        match self {
            Self::Credential => Some(identity.credential()),
            Self::Tenant => Some(identity.tenant()),
            Self::Team => identity.team(),
            Self::Organisation => identity.organisation(),
        }
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Global, Self::Global)
            | (Self::ApiKey, Self::ApiKey)
            | (Self::Upstream, Self::Upstream) => true,
            (Self::Header(one), Self::Header(other)) => one == other,
            (Self::Model(one), Self::Model(other)) => one == other,
            (Self::Identity(one), Self::Identity(other)) => one == other,
            (Self::Extension(_, one), Self::Extension(_, other)) => Arc::ptr_eq(one, other),
            (Self::Custom(one), Self::Custom(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

type ReadExtension = Arc<dyn Fn(&Extensions) -> Option<Key> + Send + Sync>;

impl KeyBy {
    /// Everyone together.
    pub fn global() -> Self {
        Self::from_source(Source::Global)
    }

    /// The API key that the caller presents (`authorization: Bearer`, `x-api-key`, `api-key`), as its digest.
    pub fn api_key() -> Self {
        Self::from_source(Source::ApiKey)
    }

    /// A header, such as one that one's own proxy sets.
    pub fn header(name: HeaderName) -> Self {
        Self::from_source(Source::Header(name))
    }

    /// The model that is asked for, whatever its name.
    pub fn model() -> Self {
        Self::from_source(Source::Model(None))
    }

    /// The model that is asked for, where it is one of these; all others are counted together as `model:other`.
    pub fn model_among(models: impl IntoIterator<Item = ModelPattern>) -> Self {
        Self::from_source(Source::Model(Some(models.into_iter().collect())))
    }

    /// The upstream that was chosen from [`Upstreams`](crate::client::Upstreams).
    pub fn upstream() -> Self {
        Self::from_source(Source::Upstream)
    }

    /// The key by which a tenant asks, by its name: `key:TENANT/ID`. As with [`tenant`](Self::tenant).
    pub fn credential() -> Self {
        Self::from_identity(IdentityPart::Credential)
    }

    /// The tenant that asks, by its [`Identity`]. Requests without one are not counted, unless
    /// [`when_missing`](Self::when_missing) says otherwise.
    pub fn tenant() -> Self {
        Self::from_identity(IdentityPart::Tenant)
    }

    /// The team of the tenant that asks. As with [`tenant`](Self::tenant); nor are those counted who belong to none.
    pub fn team() -> Self {
        Self::from_identity(IdentityPart::Team)
    }

    /// The organisation of the tenant that asks. As with [`team`](Self::team).
    pub fn organisation() -> Self {
        Self::from_identity(IdentityPart::Organisation)
    }

    fn from_identity(part: IdentityPart) -> Self {
        Self::from_source(Source::Identity(part)).when_missing(Missing::Exempt)
    }

    /// Which part of an [`Identity`] it reads, if it reads one.
    #[cfg(feature = "gateway")]
    pub(crate) fn identity_part(&self) -> Option<IdentityPart> {
        match self.source {
            Source::Identity(part) => Some(part),
            _ => None,
        }
    }

    /// What one's own auth layer left in the request's extensions.
    pub fn extension<T>(key_of: impl Fn(&T) -> Key + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
    {
        let read = Arc::new(move |extensions: &Extensions| extensions.get::<T>().map(&key_of));
        Self::from_source(Source::Extension(type_name::<T>(), read))
    }

    /// Anything else.
    pub fn custom(
        key_of: impl Fn(&Request<RequestBody>) -> Option<Key> + Send + Sync + 'static,
    ) -> Self {
        Self::from_source(Source::Custom(Arc::new(key_of)))
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            missing: Missing::default(),
        }
    }

    /// Whether it tells callers apart, rather than what they ask for.
    #[cfg(feature = "cache")]
    pub(crate) fn is_by_caller(&self) -> bool {
        !matches!(
            self.source,
            Source::Global | Source::Model(_) | Source::Upstream
        )
    }

    /// What a request without this identity means: [`Missing::Shared`] by default.
    pub fn when_missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// The key that `request` is counted for; `None` where it is exempt.
    ///
    /// # Errors
    ///
    /// What the caller is to be told when the identity is missing and [`Missing::Refuse`] holds.
    pub fn key_of(&self, request: &Request<RequestBody>) -> Result<Option<Key>, ApiError> {
        let headers = request.headers();
        let extensions = request.extensions();
        let key = match &self.source {
            Source::Global => Some(Key::GLOBAL),
            Source::ApiKey => {
                presented_api_key(headers).map(|key| Key::secret("api_key", key.as_bytes()))
            }
            Source::Header(name) => headers.get(name).map(|value| match value.to_str() {
                Ok(text) if !value.is_sensitive() => Key::named("header", text),
                _ => Key::secret("header", value.as_bytes()),
            }),
            Source::Model(known) => request.body().model().map(|model| match known {
                Some(known) if !known.iter().any(|pattern| pattern.matches(&model)) => {
                    Key::named("model", "other")
                }
                _ => Key::named("model", &model),
            }),
            Source::Upstream => extensions
                .get::<Chosen>()
                .map(|chosen| Key::named("upstream", chosen.as_str())),
            Source::Identity(part) => extensions
                .get()
                .and_then(|identity| part.of(identity))
                .cloned(),
            Source::Extension(_, read) => read(extensions),
            Source::Custom(read) => read(request),
        };
        match (key, self.missing) {
            (Some(key), _) => Ok(Some(key)),
            (None, Missing::Shared) => Ok(Some(Key::named(self.source.kind(), "missing"))),
            (None, Missing::Exempt) => Ok(None),
            (None, Missing::Refuse) => Err(self.source.missing()),
        }
    }
}

impl Source {
    fn kind(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::ApiKey => "api_key",
            Self::Header(_) => "header",
            Self::Model(_) => "model",
            Self::Upstream => "upstream",
            Self::Identity(_) => "identity",
            Self::Extension(..) => "extension",
            Self::Custom(_) => "custom",
        }
    }

    fn missing(&self) -> ApiError {
        match self {
            Self::ApiKey => ApiError::missing_api_key(),
            Self::Header(name) => {
                ApiError::invalid_request(format!("the header {name} is missing"))
            }
            Self::Model(_) => ApiError::missing_model(),
            Self::Global
            | Self::Upstream
            | Self::Identity(_)
            | Self::Extension(..)
            | Self::Custom(_) => ApiError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                "the request cannot be attributed",
            )
            .with_code("missing_identity"),
        }
    }
}

/// The API key that a caller presents: `authorization: Bearer`, Anthropic's `x-api-key`, or Azure's `api-key`.
pub(crate) fn presented_api_key(headers: &HeaderMap) -> Option<&str> {
    let plain = |name: &str| headers.get(name)?.to_str().ok();
    let key = presented_bearer(headers)
        .or_else(|| plain("x-api-key"))
        .or_else(|| plain("api-key"))?
        .trim();
    (!key.is_empty()).then_some(key)
}

/// What a caller presents as `authorization: Bearer`.
pub(crate) fn presented_bearer(headers: &HeaderMap) -> Option<&str> {
    let stated = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = stated.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

impl fmt::Debug for KeyBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("KeyBy");
        debug.field("source", &self.source.kind());
        match &self.source {
            Source::Header(name) => debug.field("header", name),
            Source::Model(Some(known)) => debug.field("models", known),
            Source::Extension(name, _) => debug.field("extension", name),
            _ => &mut debug,
        };
        debug.field("missing", &self.missing).finish()
    }
}

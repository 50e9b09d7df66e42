use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use tower_layer::Layer;

use super::{Upstream, location::Location};
use crate::{
    client::Credential,
    message::{ConfigError, ModelPattern},
};

/// Sends requests to one upstream with one credential. See the [module's documentation](super::UpstreamLayer) for what it
/// removes and answers.
///
/// Innermost in a stack, right above the client.
#[derive(Debug, Clone)]
pub struct UpstreamLayer {
    shared: Arc<Shared>,
}

/// Where an [`UpstreamLayer`] sends to, and as whom.
#[derive(Debug, Clone)]
#[must_use]
pub struct UpstreamBuilder {
    name: Arc<str>,
    location: Option<Result<Location, ConfigError>>,
    credential: Credential,
    headers: HeaderMap,
    strip_headers: Vec<String>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) location: Location,
    /// The location's host, as text.
    pub(super) host: Arc<str>,
    pub(super) credential: Credential,
    pub(super) headers: HeaderMap,
    /// In lower case, as the names of headers are.
    pub(super) strip_headers: Vec<ModelPattern>,
}

impl UpstreamLayer {
    /// The upstream called `name`: under this name it stands in [`Served`](crate::message::Served), in logs and in bills.
    pub fn builder(name: impl Into<Arc<str>>) -> UpstreamBuilder {
        UpstreamBuilder {
            name: name.into(),
            location: None,
            credential: Credential::none(),
            headers: HeaderMap::new(),
            strip_headers: Vec::new(),
        }
    }
}

impl UpstreamBuilder {
    /// The base URL, as providers document it for OpenAI's client: `https://api.groq.com/openai/v1`.
    ///
    /// The caller's path is appended; where the base names a version (a segment such as `v1`), the caller's own version is
    /// dropped.
    pub fn base_url(mut self, url: &str) -> Self {
        self.location = Some(Location::base(url));
        self
    }

    /// A template of the whole URI, for providers whose paths differ:
    /// `https://me.openai.azure.com/openai/deployments/{model}/{path}?api-version=2024-10-21`.
    ///
    /// `{model}` is the request's model, percent-encoded; `{path}` is the caller's path without its version. The caller's
    /// query is appended.
    pub fn template(mut self, template: &str) -> Self {
        self.location = Some(Location::template(template));
        self
    }

    /// What to authenticate with: [`Credential::none`] by default.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// A header for every request, in place of the caller's of that name: `anthropic-version`, `openai-organization`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// A header of the caller's that must not reach the upstream, besides those that never do: a name, or a pattern of names with
    /// one `*` in it, such as `x-acme-*`. What this layer sets itself is set all the same.
    pub fn strip_header(mut self, pattern: impl Into<String>) -> Self {
        self.strip_headers.push(pattern.into());
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When the name is empty, there is no usable address, the credential's style cannot stand in a header, or a header to strip is
    /// no pattern or one that upstreams need.
    pub fn build(self) -> Result<UpstreamLayer, ConfigError> {
        if self.name.is_empty() {
            return Err(ConfigError::new("name", "must not be empty"));
        }
        self.credential.check()?;
        let location = self
            .location
            .ok_or(ConfigError::new("base_url", "is missing"))??;
        let strip_headers = self.strip_headers.iter().map(|text| stripped(text));
        let host = location.host().to_str().unwrap_or_default().into();
        let shared = Shared {
            name: self.name,
            host,
            location,
            credential: self.credential,
            headers: self.headers,
            strip_headers: strip_headers.collect::<Result<_, _>>()?,
        };
        Ok(UpstreamLayer {
            shared: Arc::new(shared),
        })
    }
}

fn stripped(text: &str) -> Result<ModelPattern, ConfigError> {
    let fail = |reason: String| ConfigError::new("strip_headers", reason);
    let pattern: ModelPattern = text
        .to_ascii_lowercase()
        .parse()
        .map_err(|error: ConfigError| fail(error.reason().to_owned()))?;
    if pattern.matches(CONTENT_TYPE.as_str()) {
        return Err(fail(format!(
            "{text:?} strips the content type, without which upstreams read no body"
        )));
    }
    Ok(pattern)
}

impl<S> Layer<S> for UpstreamLayer {
    type Service = Upstream<S>;

    fn layer(&self, inner: S) -> Upstream<S> {
        Upstream::new(inner, Arc::clone(&self.shared))
    }
}

//! Which requests have the same answer.

use std::fmt;

use http::{HeaderName, Request};
use sha2::{Digest, Sha256};

use super::{canonical, canonical::field};
use crate::{
    key::Key,
    message::{AllowedUpstreams, Chosen, Endpoint, RequestBody},
    wire::json::Value,
};

/// What an answer is kept under: a SHA-256 of everything that decides it, and what it is purged by. Shown as the digest in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheKey {
    digest: [u8; 32],
    scope: Key,
    model: Box<str>,
}

/// What a key is made of beside the request.
#[derive(Debug, Default)]
pub(super) struct KeyParts {
    pub(super) namespace: Box<str>,
    pub(super) vary: Box<[HeaderName]>,
    pub(super) ignore: Box<[Box<str>]>,
    /// Whether a stream and a whole answer to a chat stand for each other.
    pub(super) cross: bool,
}

/// What changes with the meaning of a key's parts, so that stores that outlive a version of this crate do not mistake one for another.
const VERSION: u8 = 1;
/// The same where the answer may have either form: a layer that does not cross, with the same store, must not take it for its own.
const ANY_FORM: u8 = 2;

impl CacheKey {
    /// Of all that decides the answer, a collision-resistant digest.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whose answer it is; [`Key::GLOBAL`] where it is shared.
    pub fn scope(&self) -> &Key {
        &self.scope
    }

    /// The model that is asked for, as the upstreams' stacks get to see it; empty where none is named.
    pub fn model(&self) -> &str {
        &self.model
    }

    #[cfg(test)]
    pub(super) fn of_test(name: &str, scope: &Key, model: &str) -> Self {
        Self {
            digest: Sha256::digest(name).into(),
            scope: scope.clone(),
            model: model.into(),
        }
    }
}

impl KeyParts {
    /// The key of `request` in `scope`; `None` where its body cannot be read, or is nested too deeply.
    pub(super) fn key_of(&self, request: &Request<RequestBody>, scope: Key) -> Option<CacheKey> {
        let members = request.body().members().ok()??;
        let length = request.body().as_bytes().map_or(0, bytes::Bytes::len);
        let mut text = Vec::with_capacity(length + 512);
        let any_form = self.crosses(Endpoint::of(request));
        text.push(if any_form { ANY_FORM } else { VERSION });
        field(self.namespace.as_bytes(), &mut text);

        let (kind, name) = scope.name_bytes();
        field(scope.kind().as_bytes(), &mut text);
        text.push(kind);
        field(name, &mut text);

        target(request, &mut text);
        self.headers(request, &mut text);
        let counts = |name: &str| {
            let is_form = any_form && matches!(name, "stream" | "stream_options");
            !is_form && !self.ignore.iter().any(|ignored| **ignored == *name)
        };
        canonical::write(members, counts, &mut text)?;

        let model = members.get("model").and_then(Value::as_str);
        Some(CacheKey {
            digest: Sha256::digest(&text).into(),
            scope,
            model: model.as_deref().unwrap_or_default().into(),
        })
    }

    /// Whether a kept answer may be given in another form.
    pub(super) fn crosses(&self, endpoint: Endpoint) -> bool {
        self.cross && endpoint == Endpoint::ChatCompletions
    }

    /// The headers that providers read.
    fn headers(&self, request: &Request<RequestBody>, text: &mut Vec<u8>) {
        let deciding = |name: &HeaderName| decides(name.as_str()) || self.vary.contains(name);
        let mut headers: Vec<_> = (request.headers().iter())
            .filter(|(name, _)| deciding(name))
            .collect();
        // Stable: the values of one header keep their order.
        headers.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in headers {
            text.push(1);
            field(name.as_str().as_bytes(), text);
            field(value.as_bytes(), text);
        }
        text.push(0);
    }
}

/// The API that is called, and the upstreams that may answer.
fn target(request: &Request<RequestBody>, text: &mut Vec<u8>) {
    let uri = request.uri();
    field(Endpoint::of(request).as_str().as_bytes(), text);
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    for part in [authority, uri.path(), uri.query().unwrap_or_default()] {
        field(part.as_bytes(), text);
    }
    let extensions = request.extensions();
    let chosen = extensions.get().map_or("", Chosen::as_str);
    field(chosen.as_bytes(), text);
    match extensions.get::<AllowedUpstreams>() {
        None => text.push(0),
        Some(allowed) => {
            text.push(1);
            let mut names: Vec<_> = allowed.iter().collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                text.push(1);
                field(name.as_bytes(), text);
            }
            text.push(0);
        }
    }
}

/// Whether a header may decide what a provider answers: versions, betas, accounts and options of the APIs, which upstream a caller wants, and
/// in which form.
fn decides(name: &str) -> bool {
    const PREFIXES: [&str; 7] = [
        "anthropic-",
        "openai-",
        "azureml-",
        "x-goog-",
        "x-openrouter-",
        "x-vertex-",
        "x-dashscope-",
    ];
    let is_option = || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    match name {
        "accept" | "extra-parameters" | "groq-beta" | "x-relay-upstream" => true,
        // A key, and counters of Google's own clients.
        "x-goog-api-key" | "x-goog-api-client" => false,
        _ => is_option(),
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

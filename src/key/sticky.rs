use http::{HeaderName, Request};
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};

use super::{Key, KeyBy, Missing};
use crate::message::{RequestBody, RequestId};

/// What keeps a request on the same target as others: those with the same key go the same way. One without a key goes any way.
///
/// Deserializes from `"request_id"`, `"user"`, `"api_key"`, `"prompt_cache_key"`, `"random"`, or `"header:NAME"`.
#[derive(Debug, Clone, Default)]
pub struct StickyBy(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    RequestId,
    User,
    PromptCacheKey,
    Random,
    Key(KeyBy),
}

impl StickyBy {
    /// The request's id: whoever repeats a request under its id gets the same target. The default.
    pub fn request_id() -> Self {
        Self(Source::RequestId)
    }

    /// The end user that the body names: OpenAI's `user` and what has taken its place, Anthropic's `metadata.user_id`.
    pub fn user() -> Self {
        Self(Source::User)
    }

    /// The member `prompt_cache_key` of the body, by which OpenAI's callers say which prompts begin alike.
    pub fn prompt_cache_key() -> Self {
        Self(Source::PromptCacheKey)
    }

    /// The caller's API key.
    pub fn api_key() -> Self {
        Self::key(KeyBy::api_key())
    }

    /// A header of the request, such as a session's id.
    pub fn header(name: HeaderName) -> Self {
        Self::key(KeyBy::header(name))
    }

    /// Each request by itself.
    pub fn random() -> Self {
        Self(Source::Random)
    }

    /// Any other key.
    pub fn key(by: KeyBy) -> Self {
        Self(Source::Key(by.when_missing(Missing::Exempt)))
    }

    /// A number that is the same for requests of one key, in every process and after a restart, and otherwise as good as random; `None`
    /// for a request without a key.
    pub(crate) fn number(&self, request: &Request<RequestBody>) -> Option<u64> {
        let named = |kind, name: &str| digest(Key::named(kind, name).to_string().as_bytes());
        let body = request.body();
        match &self.0 {
            Source::RequestId => {
                let of = |id: &RequestId| digest(id.as_str().as_bytes());
                let id = request.extensions().get::<RequestId>().map(of);
                id.or_else(|| RequestId::from_headers(request.headers()).as_ref().map(of))
            }
            Source::User => body.user().map(|user| named("user", &user)),
            Source::PromptCacheKey => {
                let key = body.members().ok()??.get("prompt_cache_key")?.as_str()?;
                Some(named("prompt_cache_key", &key))
            }
            Source::Key(by) => {
                let key = by.key_of(request).ok().flatten()?;
                Some(digest(key.to_string().as_bytes()))
            }
            Source::Random => None,
        }
    }
}

/// The first eight bytes of the SHA-256: every bit of the text moves every bit of it, and whoever chooses their own key cannot
/// easily find one that lies just so for two splits.
pub(crate) fn digest(text: &[u8]) -> u64 {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

impl<'de> Deserialize<'de> for StickyBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "request_id" => Ok(Self::request_id()),
            "user" => Ok(Self::user()),
            "api_key" => Ok(Self::api_key()),
            "prompt_cache_key" => Ok(Self::prompt_cache_key()),
            "random" => Ok(Self::random()),
            other => {
                let name = other
                    .strip_prefix("header:")
                    .and_then(|name| name.trim().parse().ok());
                name.map(Self::header).ok_or_else(|| {
                    de::Error::custom(format!(
                        "{other:?} is none of \"request_id\", \"user\", \"api_key\", \"prompt_cache_key\", \"random\" and \"header:NAME\""
                    ))
                })
            }
        }
    }
}

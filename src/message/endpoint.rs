//! Which API a path is, and what calling it a second time would do.

use http::{Method, Request};
use serde::{Deserialize, Serialize};

use super::{Dialect, RequestBody};
use crate::wire::{
    json::{Members, Value},
    path::{is_version, percent_decode},
};

/// Which API of an LLM provider a request calls.
///
/// Recognised from method and path by [`Endpoint::of`]; an `Endpoint` in the request's extensions takes
/// precedence, which is how a route of one's own opts in or out:
///
/// ```
/// use http::Request;
/// use tower_relay::message::{Endpoint, RequestBody};
///
/// let mut request = Request::post("/openai/v1/chat/completions").body(RequestBody::empty())?;
/// assert_eq!(Endpoint::of(&request), Endpoint::ChatCompletions);
///
/// request.extensions_mut().insert(Endpoint::Other);
/// assert_eq!(Endpoint::of(&request), Endpoint::Other);
/// # Ok::<(), http::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST …/chat/completions`, under any prefix.
    ChatCompletions,
    /// `POST …/v1/completions`.
    Completions,
    /// `POST …/v1/embeddings`.
    Embeddings,
    /// `POST …/v1/responses`.
    Responses,
    /// `POST …/v1/messages`, Anthropic's.
    Messages,
    /// `POST …/v1/messages/count_tokens`, Anthropic's.
    CountTokens,
    /// `POST …/v1/moderations`.
    Moderations,
    /// `POST …/v1/rerank` or `…/v2/rerank`.
    Rerank,
    /// `GET …/v1/models` and `GET …/v1/models/{id}`.
    Models,
    /// Anything else: passed on, never read.
    Other,
}

/// What a request does at its upstream, and so how often it may be sent.
///
/// Told by [`Effects::of`] from the endpoint and the body; an `Effects` in the request's extensions takes precedence, which is how a
/// service that is no LLM API opts in, route by route:
///
/// ```
/// use http::Request;
/// use tower_relay::message::{Effects, RequestBody};
///
/// let mut request = Request::get("/quotes?symbol=ACME").body(RequestBody::empty())?;
/// assert_eq!(Effects::of(&request), Effects::Stateful);
///
/// request.extensions_mut().insert(Effects::Generate);
/// assert_eq!(Effects::of(&request), Effects::Generate);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effects {
    /// Only an answer comes of it: may be retried, split, fallen back, hedged, shadowed and cached.
    Generate,
    /// It reads or makes something that one upstream keeps: goes to one upstream, at most once after a byte was
    /// sent.
    Stateful,
}

impl Effects {
    /// What `request` does: what its extensions say, or else what [its endpoint](Endpoint::effects) makes of its body.
    pub fn of(request: &Request<RequestBody>) -> Self {
        match request.extensions().get::<Self>() {
            Some(effects) => *effects,
            None => Endpoint::of(request).effects(request.body()),
        }
    }

    /// Whether `request` calls what this crate knows, or what somebody vouches for. Told by the head alone.
    pub(crate) fn is_known<B>(request: &Request<B>) -> bool {
        Endpoint::of(request) != Endpoint::Other
            || request.extensions().get() == Some(&Self::Generate)
    }
}

impl Endpoint {
    /// The endpoint that `request` calls.
    pub fn of<B>(request: &Request<B>) -> Self {
        match request.extensions().get::<Self>() {
            Some(endpoint) => *endpoint,
            None => Self::from_path(request.method(), request.uri().path()),
        }
    }

    /// The endpoint at `path` (without its query).
    ///
    /// `chat/completions` is recognised under any prefix. The shorter names are words that an application may
    /// use for routes of its own, so they need a version (`/v1/embeddings`), a deployment
    /// (`/openai/deployments/{name}/embeddings`, Azure's) or `openai` (`/v1beta/openai/embeddings`, Gemini's)
    /// before them.
    ///
    /// A path that servers may take for such a one is recognised too: with escapes (`/v1/chat/%63ompletions`), capitals
    /// or slashes too many. What a layer is to bound must not pass unread for how it is spelled.
    pub fn from_path(method: &Method, path: &str) -> Self {
        // What nearly every request calls, told by one comparison.
        if path == "/v1/chat/completions" && *method == Method::POST {
            return Self::ChatCompletions;
        }
        match plain(path) {
            Some(plain) => Self::from_plain_path(method, &plain),
            None => Self::from_plain_path(method, path),
        }
    }

    fn from_plain_path(method: &Method, path: &str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let Some((head, last)) = path.rsplit_once('/') else {
            return Self::Other;
        };
        if *method == Method::POST {
            match last {
                "completions" if head.ends_with("/chat") => Self::ChatCompletions,
                "completions" if is_api_root(head) => Self::Completions,
                "embeddings" if is_api_root(head) => Self::Embeddings,
                "responses" if is_api_root(head) => Self::Responses,
                "messages" if is_api_root(head) => Self::Messages,
                "count_tokens" if head.strip_suffix("/messages").is_some_and(is_api_root) => {
                    Self::CountTokens
                }
                "moderations" if is_api_root(head) => Self::Moderations,
                "rerank" if is_api_root(head) => Self::Rerank,
                _ => Self::Other,
            }
        } else if *method == Method::GET {
            // A model's id may itself hold slashes: `/v1/models/meta-llama/llama-4-maverick`.
            match path.split_once("/models") {
                Some((root, id)) if (id.is_empty() || id.starts_with('/')) && is_api_root(root) => {
                    Self::Models
                }
                _ => Self::Other,
            }
        } else {
            Self::Other
        }
    }

    /// Whether layers read the JSON body of such a request. All others pass unread, whatever they hold.
    pub fn reads_json(self) -> bool {
        !matches!(self, Self::Models | Self::Other)
    }

    /// Whether every request must name its model. OpenAI's moderations and Responses (with a stored prompt) have one of their own.
    pub fn needs_model(self) -> bool {
        matches!(
            self,
            Self::ChatCompletions
                | Self::Completions
                | Self::Embeddings
                | Self::Messages
                | Self::CountTokens
                | Self::Rerank
        )
    }

    /// The dialect in which this endpoint's callers expect errors.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::Responses => Dialect::Responses,
            _ => Dialect::OpenAi,
        }
    }

    /// What sending `body` to this endpoint does there.
    ///
    /// A member that names something kept by an upstream, or asks it to keep something, makes a request
    /// [`Stateful`](Effects::Stateful): `store`, `background`, `previous_response_id`, `conversation`,
    /// `container`. OpenAI stores responses unless told `"store": false`, so only those that say so are
    /// [`Generate`](Effects::Generate). A body that cannot be read is taken as `Stateful`.
    pub fn effects(self, body: &RequestBody) -> Effects {
        match self {
            Self::Models => Effects::Generate,
            Self::Other => Effects::Stateful,
            _ => match body.members() {
                Ok(Some(members)) if !keeps_state(self, members) => Effects::Generate,
                _ => Effects::Stateful,
            },
        }
    }

    /// The name under which configuration, labels and logs know this endpoint.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Moderations => "moderations",
            Self::Rerank => "rerank",
            Self::Models => "models",
            Self::Other => "other",
        }
    }
}

fn keeps_state(endpoint: Endpoint, members: Members<'_>) -> bool {
    let is_true = |name| members.get(name).and_then(Value::as_bool) == Some(true);
    let is_named = |name| members.get(name).is_some_and(|value| !value.is_null());
    let stored = match endpoint {
        Endpoint::Responses => members.get("store").and_then(Value::as_bool) != Some(false),
        _ => is_true("store"),
    };
    stored
        || is_true("background")
        || ["previous_response_id", "conversation", "container"]
            .into_iter()
            .any(is_named)
}

/// A path as the most lenient of servers reads it; `None` where it stands so already.
fn plain(path: &str) -> Option<String> {
    let is_odd = |byte: u8| byte == b'%' || byte.is_ascii_uppercase();
    if !path.bytes().any(is_odd) && !path.contains("//") {
        return None;
    }
    let mut plain = Vec::with_capacity(path.len());
    for byte in percent_decode(path) {
        if byte != b'/' || plain.last() != Some(&b'/') {
            plain.push(byte.to_ascii_lowercase());
        }
    }
    Some(String::from_utf8_lossy(&plain).into_owned())
}

/// Whether the short name of an endpoint may follow `head`.
fn is_api_root(head: &str) -> bool {
    let mut segments = head.rsplit('/');
    let last = segments.next().unwrap_or_default();
    is_version(last)
        || last == "openai"
        || matches!(segments.next(), Some("deployments" | "engines"))
}

#[cfg(test)]
mod tests;

//! Errors in OpenAI's shape, with the status that they deserve.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value as Json;

use super::repairs::{Repair, Repairs};
use crate::{
    message::{ApiError, Dialect, Outcome, classify_error},
    wire::{
        json::{Index, Kind, Value},
        sse,
    },
};

/// As much of an error is kept, in bytes.
pub(super) const MAX_KEPT: usize = 64 << 10;

/// The upstream's own answer, in the extensions of one that was put in its place: an error in OpenAI's shape, or a refusal under
/// [`NormalizePolicy::Strict`](super::NormalizePolicy::Strict). The end of a stream has no extensions, and none of these.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub struct OriginalAnswer {
    /// The upstream's status.
    pub status: StatusCode,
    /// The first 64 KiB of the upstream's body.
    pub body: Bytes,
}

impl std::fmt::Debug for OriginalAnswer {
    /// Shows nothing of the body: it may quote the caller.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginalAnswer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish()
    }
}

impl OriginalAnswer {
    pub(super) fn new(status: StatusCode, body: &Bytes) -> Self {
        let body = body.slice(..body.len().min(MAX_KEPT));
        Self { status, body }
    }
}

/// The error whose body is `text`, and which means `outcome`; `None` where it is OpenAI's already. `openai` if OpenAI itself
/// answers, whose codes are its own.
pub(super) fn repaired(
    text: &[u8],
    error: &ApiError,
    outcome: Outcome,
    openai: bool,
    repairs: &mut Repairs,
) -> Option<Bytes> {
    let is_shaped = is_exact(text);
    let has_no_word = known_codes(error, outcome).is_empty();
    let says_enough = openai || has_no_word || code(error, outcome) == error.code();
    if is_shaped && says_enough {
        return None;
    }
    repairs.add(if is_shaped {
        Repair::ErrorStatus
    } else {
        Repair::Error
    });
    Some(in_place(text, error, outcome).unwrap_or_else(|| written(error, outcome)))
}

fn written(error: &ApiError, outcome: Outcome) -> Bytes {
    let (kind, message) = (error.kind().to_owned(), error.message().to_owned());
    let mut whole = ApiError::new(error.status(), kind, message);
    if let Some(code) = code(error, outcome) {
        whole = whole.with_code(code.to_owned());
    }
    if let Some(param) = error.param() {
        whole = whole.with_param(param.to_owned());
    }
    whole.to_json(Dialect::OpenAi).into()
}

/// The event that ends a stream with an error; `None` where `data` is one that OpenAI would have sent.
pub(super) fn event(
    data: &[u8],
    error: &ApiError,
    openai: bool,
    repairs: &mut Repairs,
) -> Option<Bytes> {
    let outcome = classify_error(error.status(), &HeaderMap::new(), error);
    repaired(data, error, outcome, openai, repairs).map(|text| sse::event(None, &text))
}

/// The error of an answer whose model stopped for `word`, a failure by its provider's name.
pub(super) fn of_failure(word: &str) -> ApiError {
    let message = format!("the upstream's model stopped with {word:?}");
    failed(word, message)
}

/// The error of a model that stopped for `word`, with the status of what that means.
pub(super) fn failed(word: &str, message: String) -> ApiError {
    let (status, kind) = match Outcome::of_finish_reason(word) {
        Some(Outcome::Overloaded { .. }) => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
        Some(Outcome::InvalidRequest) => (StatusCode::BAD_REQUEST, "invalid_request_error"),
        _ => (StatusCode::BAD_GATEWAY, "server_error"),
    };
    ApiError::new(status, kind, message)
}

/// The refusal of an answer that is not OpenAI's.
pub(super) fn nonconformant(fault: impl std::fmt::Display) -> ApiError {
    let message = format!("the upstream's answer is not what OpenAI would have sent: {fault}");
    ApiError::new(StatusCode::BAD_GATEWAY, "server_error", message)
        .with_code("nonconformant_answer")
}

/// Whether `text` is `{"error":{message,type,param,code}}` with strings, and `null` where OpenAI has it. It may say more.
fn is_exact(text: &[u8]) -> bool {
    let Ok(index) = Index::parse(text) else {
        return false;
    };
    let members = index.members(text);
    let Some(error) = members.get("error") else {
        return false;
    };
    if members.contains("choices") || members.contains("type") {
        return false;
    }
    let Ok(index) = Index::parse(error.raw()) else {
        return false;
    };
    let error = index.members(error.raw());
    let is = |name, null| {
        error.get(name).is_some_and(|value: Value<'_>| {
            value.kind() == Kind::String || (null && value.is_null())
        })
    };
    is("message", false) && is("type", false) && is("param", true) && is("code", true)
}

/// The text with the four members put right where it has an `error` object already: what else a provider says there, such as Groq's
/// `failed_generation`, stays.
fn in_place(text: &[u8], error: &ApiError, outcome: Outcome) -> Option<Bytes> {
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    let inner = members
        .get("error")
        .filter(|inner| inner.kind() == Kind::Object)?;
    if members.contains("choices") {
        return None;
    }
    let inner_index = Index::parse(inner.raw()).ok()?;
    let mut edit = inner_index.members(inner.raw()).edit();
    let text_or_null = |text: Option<&str>| text.map_or(Json::Null, Json::from);
    edit.set("message", error.message())
        .set("type", error.kind())
        .set("param", text_or_null(error.param()))
        .set("code", text_or_null(code(error, outcome)));
    let mut whole = members.edit();
    whole.set("error", edit);
    // Anthropic's marker, by which some readers tell its dialect.
    whole.remove("type");
    Some(whole.into_text())
}

/// The status that OpenAI gives an error of this meaning, unless the one that was given says no less.
pub(super) fn deserved(status: StatusCode, outcome: Outcome) -> StatusCode {
    let (fits, otherwise): (&[u16], u16) = match outcome {
        // OpenAI gives 429, and Groq 413, to one request that is larger than the limit per minute.
        Outcome::ContextTooLong => (&[400, 413, 429], 400),
        Outcome::ContentFiltered => (&[400], 400),
        Outcome::ModelNotFound => (&[403, 404], 404),
        Outcome::UpstreamAuth => (&[401, 403], 401),
        Outcome::QuotaExhausted | Outcome::RateLimited { .. } => (&[429], 429),
        Outcome::Overloaded { .. } => (&[409, 429, 500, 503], 503),
        Outcome::Timeout { .. } => (&[408, 504], 504),
        Outcome::ServerError => (&[500, 501, 502, 503, 504], 502),
        Outcome::InvalidRequest if status.is_client_error() => return status,
        Outcome::InvalidRequest => (&[], 400),
        _ => return status,
    };
    if fits.contains(&status.as_u16()) {
        return status;
    }
    StatusCode::from_u16(otherwise).unwrap_or(status)
}

/// The `code` that OpenAI's callers match on: the provider's own where OpenAI has it too, or has none for this meaning.
fn code(error: &ApiError, outcome: Outcome) -> Option<&str> {
    let (stated, known) = (error.code(), known_codes(error, outcome));
    let is_word = |code: &&str| !code.bytes().all(|byte| byte.is_ascii_digit());
    match (known.first(), stated) {
        (Some(_), Some(stated)) if known.contains(&stated) => Some(stated),
        // A key is refused for many reasons, and OpenAI has words for more than one.
        (Some(_), Some(stated)) if outcome == Outcome::UpstreamAuth && is_word(&stated) => {
            Some(stated)
        }
        (Some(code), _) => Some(code),
        (None, stated) => stated.filter(is_word),
    }
}

/// The codes that OpenAI has for an error of this meaning, the most general first.
fn known_codes(error: &ApiError, outcome: Outcome) -> &'static [&'static str] {
    match outcome {
        Outcome::ContextTooLong => &["context_length_exceeded", "rate_limit_exceeded"],
        Outcome::ContentFiltered => &["content_filter", "content_policy_violation", "cyber_policy"],
        Outcome::ModelNotFound => &["model_not_found"],
        Outcome::RateLimited { .. } => &["rate_limit_exceeded", "slow_down"],
        Outcome::QuotaExhausted => &[
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_hard_limit_reached",
        ],
        Outcome::UpstreamAuth if error.status() == StatusCode::UNAUTHORIZED => &["invalid_api_key"],
        _ => &[],
    }
}

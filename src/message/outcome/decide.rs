//! From an error to its meaning.

use http::{HeaderMap, HeaderValue, StatusCode};

use super::{
    Outcome,
    facts::{CODES, GENERAL_CODES, Meaning, PHRASES, holds},
    statuses,
};
use crate::message::ApiError;

/// What an upstream's error means.
///
/// Providers give one status to opposite things: a 429 may heal in a second, at midnight, or when a bill is paid; a 400 may be
/// a request that is wrong, too long, or refused for its content. So what `error` says decides, by the tables that the providers'
/// documentation and recorded errors fill, and the status only where it says nothing known. `x-should-retry`, which
/// Anthropic and OpenAI send, decides between the two readings of a status that has two.
///
/// Nothing tells one provider from another but what they sent, so it works behind gateways too.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_relay::message::{ApiError, Outcome, classify_error};
///
/// let (status, headers) = (StatusCode::TOO_MANY_REQUESTS, HeaderMap::new());
/// let body = br#"{"error":{"message":"Rate limit reached. Please try again in 2s.","type":"tokens","code":"rate_limit_exceeded"}}"#;
/// let error = ApiError::read(status, &headers, body);
/// let wait = error.retry_after();
/// assert_eq!(classify_error(status, &headers, &error), Outcome::RateLimited { retry_after: wait });
///
/// let body = br#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
/// let error = ApiError::read(status, &headers, body);
/// assert_eq!(classify_error(status, &headers, &error), Outcome::QuotaExhausted);
/// ```
pub fn classify_error(status: StatusCode, headers: &HeaderMap, error: &ApiError) -> Outcome {
    let should_retry = headers.get("x-should-retry").map(HeaderValue::as_bytes);
    let retry_after = error.retry_after();
    // Nobody gives a 401 to anything but a key.
    let stated = match status {
        StatusCode::UNAUTHORIZED => None,
        _ => Words::of(error).meaning(Some(status)),
    };
    let by_status = || match statuses::meaning(status.as_u16()) {
        // A resource other than a model, such as a response or a file.
        Meaning::Model if error.param().is_some_and(|param| param != "model") => Meaning::Invalid,
        Meaning::Invalid if should_retry == Some(b"true") => Meaning::Overload,
        meaning => meaning,
    };
    let meaning = match stated.unwrap_or_else(by_status) {
        Meaning::Rate if should_retry == Some(b"false") && retry_after.is_none() => Meaning::Quota,
        meaning => meaning,
    };
    meaning.outcome(retry_after)
}

/// The status that an error inside a 200 should have had, as far as its words tell.
pub(in crate::message) fn implied_status(error: &ApiError) -> StatusCode {
    let words = Words::of(error);
    let bad_gateway = StatusCode::BAD_GATEWAY;
    let status = words
        .meaning(None)
        .map(statuses::of_meaning)
        .or_else(|| words.exact.iter().find_map(|word| statuses::of_kind(word)));
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(bad_gateway)
}

/// What an error says, in lower case.
struct Words {
    /// Code, stated type and details, each by itself.
    exact: Vec<String>,
    /// The message and all of these, in one.
    text: String,
}

impl Words {
    fn of(error: &ApiError) -> Self {
        let words = error
            .code()
            .into_iter()
            .chain(error.stated_kind())
            .chain(error.details());
        let exact: Vec<_> = words.map(str::to_ascii_lowercase).collect();
        let mut text = error.message().to_ascii_lowercase();
        for word in &exact {
            text.push('\n');
            text.push_str(word);
        }
        Self { exact, text }
    }

    fn says(&self, word: &str) -> bool {
        self.exact.iter().any(|known| known == word)
    }

    /// `status` is that of the answer, where it says something.
    fn meaning(&self, status: Option<StatusCode>) -> Option<Meaning> {
        let code = |table: &[(&str, Meaning)]| {
            table
                .iter()
                .find(|(code, _)| self.says(code))
                .map(|(_, meaning)| *meaning)
        };
        // A server that fails may well say of some model in it that it does not exist.
        let may_name_models = status.is_none_or(|status| status.is_client_error());
        let phrase = || {
            let mut rows = PHRASES.iter();
            let row = rows.find(|(parts, meaning)| {
                (may_name_models || *meaning != Meaning::Model) && holds(&self.text, parts)
            });
            row.map(|(_, meaning)| *meaning)
        };
        self.ambiguous()
            .or_else(|| code(CODES))
            .or_else(phrase)
            .or_else(|| code(GENERAL_CODES))
    }

    /// Words that mean one thing here and another there.
    fn ambiguous(&self) -> Option<Meaning> {
        let mentions = |signs: &[&str]| signs.iter().any(|sign| self.text.contains(sign));
        // OpenRouter's 402 for what the requests that are running may yet cost.
        if self.says("openrouter_in_flight_budget") || self.says("in_flight_budget_exhausted") {
            return Some(Meaning::Rate);
        }
        // Gemini speaks of quota, plan and billing for limits per minute too; only the id tells them from those per day.
        if self.says("resource_exhausted") && self.exact.iter().any(|word| word.contains("perday"))
        {
            return Some(Meaning::Quota);
        }
        // OpenAI's `insufficient_quota` is about money; DashScope's about tokens per minute, unless it names the free tier or the bill.
        if self.says("insufficient_quota")
            && mentions(&["allocated quota exceeded", "aliyun.com", "alibabacloud.com"])
            && !mentions(&[
                "free tier only",
                "freetieronly",
                "good standing",
                "arrearage",
            ])
        {
            return Some(Meaning::Rate);
        }
        None
    }
}

//! What may be kept, and for how long it may be given: the policy, pure.

use std::time::Duration;

use http::Request;
use serde::Deserialize;

use super::directives::Directives;
use crate::{
    message::{Completion, Effects, End, Endpoint, Outcome, RequestBody},
    wire::json::{Cursor, Kind, Members, Value},
};

/// Which requests are answered from the cache.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cacheable {
    /// Those that ask for the same answer each time: with a `temperature` of 0 or a `seed`, and embeddings, moderations, reranking and token
    /// counts, which know neither. Not those that let the provider look something up for them.
    #[default]
    Deterministic,
    /// All of which nothing is kept at the upstream. Who asks twice gets the same answer, though another would have been as good.
    All,
}

impl Cacheable {
    /// Whether `request` is among them.
    pub(super) fn admits(self, request: &Request<RequestBody>, endpoint: Endpoint) -> bool {
        let Ok(Some(members)) = request.body().members() else {
            return false;
        };
        let is_among = match self {
            Self::All => true,
            Self::Deterministic => is_deterministic(endpoint, members),
        };
        is_among && Effects::of(request) == Effects::Generate
    }
}

fn is_deterministic(endpoint: Endpoint, members: Members<'_>) -> bool {
    match endpoint {
        Endpoint::Embeddings | Endpoint::Moderations | Endpoint::Rerank | Endpoint::CountTokens => {
            return true;
        }
        _ => {}
    }
    let is_cold = || members.get("temperature").is_some_and(is_zero);
    let is_seeded = || {
        members
            .get("seed")
            .is_some_and(|seed| seed.kind() == Kind::Number)
    };
    (is_cold() || is_seeded()) && !looks_up(members)
}

fn is_zero(value: Value<'_>) -> bool {
    value.as_u64() == Some(0)
        || std::str::from_utf8(value.raw())
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .is_some_and(|number| number == 0.0)
}

/// Whether the provider may look something up for the answer: tools that are neither the caller's own functions nor of no type (which are
/// that too), and searches of the web.
fn looks_up(members: Members<'_>) -> bool {
    let searches = members
        .get("web_search_options")
        .is_some_and(|options| !options.is_null());
    let Some(tools) = members.get("tools").filter(|tools| !tools.is_null()) else {
        return searches;
    };
    let mut is_hosted = false;
    let read = Cursor::new(tools.raw()).and_then(|mut cursor| {
        cursor.items(|cursor| {
            cursor.members(|cursor, name| {
                let value = cursor.value()?;
                if name == b"type" {
                    let kind = value.as_str()?;
                    is_hosted |= !matches!(&*kind, "function" | "custom");
                }
                Some(())
            })
        })
    });
    searches || is_hosted || read.is_none()
}

/// How long an answer may be given, in three spans that follow on each other from its arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetimes {
    pub(super) ttl: Duration,
    /// Both count from the end of the first.
    pub(super) stale_while_revalidate: Duration,
    pub(super) stale_if_error: Duration,
}

/// What an answer of some age is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To be given.
    Fresh,
    /// To be given, though it is old.
    Stale,
    /// To be given, and asked for anew meanwhile.
    Refresh,
    /// To be given if asking for a new one fails.
    IfError,
    Nothing,
}

impl Lifetimes {
    /// As long as an answer may be good for anything.
    pub(super) fn longest(&self) -> Duration {
        let stale = self.stale_while_revalidate.max(self.stale_if_error);
        self.ttl.saturating_add(stale)
    }

    /// What an answer of this age is good for to a caller with these wishes.
    pub(super) fn judge(&self, age: Duration, directives: &Directives) -> Use {
        let is_too_old = directives
            .max_age
            .is_some_and(|max| age > max || max.is_zero());
        if directives.no_cache || directives.no_store || is_too_old {
            return Use::Nothing;
        }
        if age < self.ttl {
            let left = self.ttl.saturating_sub(age);
            let is_fresh = directives.min_fresh.is_none_or(|min| left >= min);
            return if is_fresh { Use::Fresh } else { Use::Nothing };
        }
        let stale_for = age.saturating_sub(self.ttl);
        if stale_for < self.stale_while_revalidate {
            Use::Refresh
        } else if directives.max_stale.is_some_and(|max| stale_for <= max) && age < self.longest() {
            Use::Stale
        } else if stale_for < self.stale_if_error {
            Use::IfError
        } else {
            Use::Nothing
        }
    }
}

/// Whether an answer that has ended is one that may be given again, as far as its end tells: whole, and neither refused nor cut off at its
/// cap of tokens.
pub(super) fn ended_well(completion: &Completion) -> bool {
    let reason = completion.finish_reason.as_deref();
    completion.end == End::Complete
        && completion.error.is_none()
        && reason
            .is_none_or(|reason| Outcome::of_finish_reason(reason).is_none() && !is_cut_off(reason))
}

/// Whether a finish reason says that the answer is not all that the model had to say.
fn is_cut_off(reason: &str) -> bool {
    [
        "length",
        "max_tokens",
        "max_output_tokens",
        "model_length",
        "model_context_window_exceeded",
        "incomplete",
        "cancelled",
        "failed",
        "pause_turn",
    ]
    .iter()
    .any(|cut_off| reason.eq_ignore_ascii_case(cut_off))
}

/// Whether an upstream's failure is one for which an old answer is better than none.
pub(super) fn may_be_stood_in_for(status: u16, outcome: Option<Outcome>) -> bool {
    use crate::message::{Refusal, Verdict};
    match outcome {
        Some(Outcome::Refused(Refusal::Tenant)) => false,
        Some(Outcome::Refused(_)) => true,
        Some(outcome) => matches!(
            outcome.verdict(),
            Verdict::Failure | Verdict::RateLimited | Verdict::Exhausted
        ),
        None => status == 429 || status >= 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(cacheable: Cacheable, path: &str, body: &'static str) -> bool {
        let request = Request::post(path).body(RequestBody::json(body)).unwrap();
        cacheable.admits(&request, Endpoint::of(&request))
    }

    #[test]
    fn what_asks_for_the_same_answer_each_time_is_admitted() {
        for (path, body, deterministic) in [
            ("/v1/chat/completions", r#"{"temperature":0}"#, true),
            ("/v1/chat/completions", r#"{"temperature":0.00}"#, true),
            ("/v1/chat/completions", r#"{"temperature":-0e3}"#, true),
            (
                "/v1/chat/completions",
                r#"{"temperature":1,"seed":7}"#,
                true,
            ),
            ("/v1/chat/completions", r#"{"seed":null}"#, false),
            ("/v1/chat/completions", r#"{"temperature":"0"}"#, false),
            ("/v1/chat/completions", r#"{"temperature":0.1}"#, false),
            ("/v1/chat/completions", "{}", false),
            ("/v1/messages", r#"{"temperature":0}"#, true),
            (
                "/v1/messages",
                r#"{"temperature":0,"tools":[{"name":"f"},{"type":"custom"}]}"#,
                true,
            ),
            (
                "/v1/messages",
                r#"{"temperature":0,"tools":[{"name":"f"},{"type":"web_search_20250305"}]}"#,
                false,
            ),
            (
                "/v1/chat/completions",
                r#"{"seed":1,"web_search_options":{}}"#,
                false,
            ),
            ("/v1/chat/completions", r#"{"seed":1,"tools":7}"#, false),
            ("/v1/embeddings", r#"{"input":"a"}"#, true),
            ("/v1/rerank", "{}", true),
        ] {
            assert_eq!(
                admitted(Cacheable::Deterministic, path, body),
                deterministic,
                "{body}"
            );
            assert!(admitted(Cacheable::All, path, body), "{body}");
        }
    }

    #[test]
    fn what_an_upstream_keeps_and_what_cannot_be_read_is_never_admitted() {
        for cacheable in [Cacheable::Deterministic, Cacheable::All] {
            for (path, body) in [
                ("/v1/chat/completions", r#"{"temperature":0,"store":true}"#),
                ("/v1/responses", r#"{"temperature":0}"#),
                (
                    "/v1/responses",
                    r#"{"temperature":0,"store":false,"previous_response_id":"r"}"#,
                ),
                ("/v1/files", r#"{"temperature":0}"#),
                (
                    "/v1/chat/completions",
                    r#"{"temperature":0,"temperature":0}"#,
                ),
                ("/v1/chat/completions", "temperature"),
            ] {
                assert!(!admitted(cacheable, path, body), "{body}");
            }
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_answer_ages_from_fresh_through_stale_to_nothing() {
        let lifetimes = Lifetimes {
            ttl: 10 * SECOND,
            stale_while_revalidate: 5 * SECOND,
            stale_if_error: 20 * SECOND,
        };
        let none = Directives::default();
        for (age, good_for) in [
            (0, Use::Fresh),
            (9, Use::Fresh),
            (10, Use::Refresh),
            (14, Use::Refresh),
            (15, Use::IfError),
            (29, Use::IfError),
            (30, Use::Nothing),
        ] {
            assert_eq!(lifetimes.judge(age * SECOND, &none), good_for, "{age}");
        }
        assert_eq!(lifetimes.longest(), 30 * SECOND);
    }

    #[test]
    fn callers_may_ask_for_younger_answers_and_take_older_ones() {
        let lifetimes = Lifetimes {
            ttl: 10 * SECOND,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: 20 * SECOND,
        };
        let none = Directives::default();
        let with = |change: fn(&mut Directives)| {
            let mut directives = none;
            change(&mut directives);
            directives
        };
        for (directives, age, good_for) in [
            (with(|ask| ask.no_cache = true), 0, Use::Nothing),
            (with(|ask| ask.no_store = true), 0, Use::Nothing),
            (
                with(|ask| ask.max_age = Some(Duration::ZERO)),
                0,
                Use::Nothing,
            ),
            (with(|ask| ask.max_age = Some(5 * SECOND)), 5, Use::Fresh),
            (with(|ask| ask.max_age = Some(5 * SECOND)), 6, Use::Nothing),
            (with(|ask| ask.min_fresh = Some(5 * SECOND)), 5, Use::Fresh),
            (
                with(|ask| ask.min_fresh = Some(5 * SECOND)),
                6,
                Use::Nothing,
            ),
            (with(|ask| ask.max_stale = Some(5 * SECOND)), 15, Use::Stale),
            (
                with(|ask| ask.max_stale = Some(5 * SECOND)),
                16,
                Use::IfError,
            ),
            (
                with(|ask| ask.max_stale = Some(Duration::MAX)),
                29,
                Use::Stale,
            ),
            (
                with(|ask| ask.max_stale = Some(Duration::MAX)),
                31,
                Use::Nothing,
            ),
        ] {
            assert_eq!(
                lifetimes.judge(age * SECOND, &directives),
                good_for,
                "{directives:?} {age}"
            );
        }
    }
}

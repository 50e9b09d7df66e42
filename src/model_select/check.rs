//! Whether an answer will do.

use std::fmt;

use serde::{Deserialize, de::IgnoredAny};

use super::Answer;
use crate::{message::RequestBody, wire::json::Value};

/// Looks at a whole answer and says whether a better model should try. It must be quick: it runs on the task that serves the request.
pub trait Check: fmt::Debug + Send + Sync {
    /// What is wrong with the answer to `request`, as a label; `None` where it will do.
    fn fault(&self, request: &RequestBody, answer: &Answer) -> Option<&'static str>;
}

/// The checks that come with the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuiltinCheck {
    /// `empty`: no text but white space, no call of a tool, and no refusal.
    Empty,
    /// `refused`: the provider says so (`refusal`, `content_filter`), or the text is short and begins as refusals do.
    Refused,
    /// `invalid_json`: the request asked for JSON and the text is none.
    InvalidJson,
    /// `low_logprob`: the mean log-probability of the answer's tokens is below -1, which is a mean probability of 37 %. It is asked for where
    /// the request does not, and taken out of the answer again; only at OpenAI's chat. Some models refuse the question.
    LowLogprob,
}

/// Below this an answer is taken to be guessed.
const LOW_LOGPROB: f64 = -1.0;

/// How refusals begin, in lower case.
const REFUSALS: [&str; 9] = [
    "i'm sorry, but i can",
    "i’m sorry, but i can",
    "i am sorry, but i can",
    "sorry, but i can",
    "i can't assist",
    "i can’t assist",
    "i cannot assist",
    "i can't help with",
    "i cannot help with",
];
/// A longer text says more than no, in bytes.
const MAX_REFUSAL: usize = 400;

impl Check for BuiltinCheck {
    fn fault(&self, request: &RequestBody, answer: &Answer) -> Option<&'static str> {
        let says_nothing = answer.text.trim().is_empty();
        match self {
            Self::Empty => {
                (says_nothing && !answer.calls_tools && !answer.refused).then_some("empty")
            }
            Self::Refused => {
                (answer.refused || begins_as_refusal(&answer.text)).then_some("refused")
            }
            Self::InvalidJson => {
                let is_due = !answer.calls_tools && asks_for_json(request);
                (is_due && serde_json::from_str::<IgnoredAny>(&answer.text).is_err())
                    .then_some("invalid_json")
            }
            Self::LowLogprob => answer
                .mean_logprob
                .is_some_and(|mean| mean < LOW_LOGPROB)
                .then_some("low_logprob"),
        }
    }
}

fn begins_as_refusal(text: &str) -> bool {
    let text = text.trim_start();
    if text.len() > MAX_REFUSAL {
        return false;
    }
    let text = text.to_lowercase();
    REFUSALS.iter().any(|opening| text.starts_with(opening))
}

/// Whether the answer is to be JSON: `response_format` of OpenAI's chat, `text.format` of its Responses.
fn asks_for_json(request: &RequestBody) -> bool {
    fn kind(format: &serde_json::Value) -> bool {
        let kind = format.get("type").and_then(serde_json::Value::as_str);
        matches!(kind, Some("json_object" | "json_schema"))
    }
    let get = |name| {
        let members = request.members().ok()??;
        members
            .get(name)
            .and_then(|value: Value<'_>| value.deserialize::<serde_json::Value>().ok())
    };
    get("response_format").is_some_and(|format| kind(&format))
        || get("text").is_some_and(|text| text.get("format").is_some_and(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(check: BuiltinCheck, request: &'static str, answer: &Answer) -> Option<&'static str> {
        check.fault(&RequestBody::json(request), answer)
    }

    fn says(text: &str) -> Answer {
        Answer {
            text: text.to_owned(),
            ..Answer::default()
        }
    }

    #[test]
    fn each_check_finds_its_fault_and_no_other() {
        let json = r#"{"response_format":{"type":"json_object"}}"#;
        let schema = r#"{"text":{"format":{"type":"json_schema"}}}"#;
        let call = Answer {
            calls_tools: true,
            ..Answer::default()
        };
        let unsure = Answer {
            mean_logprob: Some(-1.5),
            ..says("x")
        };
        for (check, request, answer, expected) in [
            (BuiltinCheck::Empty, "{}", says(" \n"), Some("empty")),
            (BuiltinCheck::Empty, "{}", call.clone(), None),
            (
                BuiltinCheck::Refused,
                "{}",
                says("I'm sorry, but I can't do that."),
                Some("refused"),
            ),
            (
                BuiltinCheck::Refused,
                "{}",
                says("Say: I'm sorry, but I can't."),
                None,
            ),
            (
                BuiltinCheck::InvalidJson,
                json,
                says("Sure! {}"),
                Some("invalid_json"),
            ),
            (
                BuiltinCheck::InvalidJson,
                schema,
                says(""),
                Some("invalid_json"),
            ),
            (BuiltinCheck::InvalidJson, json, says("{\"a\":1}"), None),
            (BuiltinCheck::InvalidJson, json, call, None),
            (BuiltinCheck::InvalidJson, "{}", says("x"), None),
            (BuiltinCheck::LowLogprob, "{}", unsure, Some("low_logprob")),
            (BuiltinCheck::LowLogprob, "{}", says("x"), None),
        ] {
            assert_eq!(
                fault(check, request, &answer),
                expected,
                "{check:?} {answer:?}"
            );
        }
    }

    #[test]
    fn deep_json_does_not_overflow_the_stack() {
        let deep = says(&"[".repeat(1 << 20));
        let json = r#"{"response_format":{"type":"json_object"}}"#;
        assert_eq!(
            fault(BuiltinCheck::InvalidJson, json, &deep),
            Some("invalid_json")
        );
    }
}

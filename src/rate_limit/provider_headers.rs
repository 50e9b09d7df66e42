//! What a provider says of its limits, in the headers of its answers.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::{reserve::Dimension, wire::retry_after::read_wait};

/// A limit that some provider has a name for.
#[derive(Debug)]
pub(super) struct Scope {
    name: &'static str,
    pub(super) dimension: Dimension,
    /// Its window, where the header does not say when it ends.
    pub(super) window: Duration,
    /// Whether that window follows another of the same limit.
    pub(super) renews: bool,
}

const fn scope(name: &'static str, dimension: Dimension, seconds: u64) -> Scope {
    Scope {
        name,
        dimension,
        window: Duration::from_secs(seconds),
        renews: !name.is_empty(),
    }
}

/// The names as recorded in answers of OpenAI, Azure, Groq, Anthropic, Cerebras, Mistral, xAI, OpenRouter, Together, Hugging Face,
/// Replicate and Moonshot. Without one it is requests.
pub(super) const SCOPES: [Scope; 12] = [
    scope("requests", Dimension::Requests, 60),
    scope("tokens", Dimension::Tokens, 60),
    scope("project-requests", Dimension::Requests, 60),
    scope("project-tokens", Dimension::Tokens, 60),
    scope("input-tokens", Dimension::InputTokens, 60),
    scope("output-tokens", Dimension::OutputTokens, 60),
    scope("requests-day", Dimension::Requests, 86_400),
    scope("tokens-minute", Dimension::Tokens, 60),
    scope("req-minute", Dimension::Requests, 60),
    scope("req-10-second", Dimension::Requests, 10),
    scope("tokens-month", Dimension::Tokens, 30 * 86_400),
    scope("", Dimension::Requests, 60),
];

/// What is said of one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) reset: Option<Duration>,
}

/// What is said of each of [`SCOPES`]; `None` where nothing is.
///
/// A remaining amount below zero (Azure's -1) means that there is no limit, and so do names that are not known.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<[Said; SCOPES.len()]> {
    let mut all = [Said::default(); SCOPES.len()];
    let mut any = false;
    for (name, value) in headers {
        let Some((_, name)) = name.as_str().split_once("ratelimit") else {
            continue;
        };
        let Ok(value) = value.to_str() else { continue };
        if name.is_empty() {
            any |= structured(value, all.last_mut());
            continue;
        }
        let Some((field, scope)) = field(name) else {
            continue;
        };
        let Some(at) = SCOPES.iter().position(|known| known.name == scope) else {
            continue;
        };
        let Some(said) = all.get_mut(at) else {
            continue;
        };
        match field {
            "limit" => said.limit = count(value),
            "remaining" => said.remaining = count(value),
            _ => said.reset = read_wait(value, now),
        }
        any = true;
    }
    any.then_some(all)
}

/// `-remaining-requests`, or Anthropic's `-requests-remaining`, as field and scope.
fn field(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix('-')?;
    ["limit", "remaining", "reset"]
        .into_iter()
        .find_map(|field| {
            let before = || {
                Some(
                    name.strip_prefix(field)?
                        .strip_prefix('-')
                        .unwrap_or_default(),
                )
            };
            let after = || name.strip_suffix(field)?.strip_suffix('-');
            if name == field {
                Some((field, ""))
            } else if name.starts_with(field) {
                before()
                    .filter(|scope| !scope.is_empty())
                    .map(|scope| (field, scope))
            } else {
                after().map(|scope| (field, scope))
            }
        })
}

/// A whole number, perhaps written as another; `None` below zero.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and nothing is negative"
)]
fn count(value: &str) -> Option<u64> {
    let value = value.trim();
    value.parse().ok().or_else(|| {
        let number: f64 = value.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number as u64)
    })
}

/// The IETF draft's `"api";r=999;t=295`; of several the one that has least left.
fn structured(value: &str, said: Option<&mut Said>) -> bool {
    let parameter = |item: &str, key: &str| {
        let mut parameters = item.split(';').filter_map(|part| part.split_once('='));
        let found = parameters.find(|(name, _)| name.trim() == key)?;
        count(found.1)
    };
    let least = value
        .split(',')
        .filter_map(|item| Some((parameter(item, "r")?, parameter(item, "t")?)))
        .min();
    let (Some((remaining, seconds)), Some(said)) = (least, said) else {
        return false;
    };
    said.remaining = Some(remaining);
    said.reset = Some(Duration::from_secs(seconds));
    true
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::{HeaderName, HeaderValue};

    use super::*;

    /// `scope: limit remaining reset`, of all that is said.
    fn said(headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let now = UNIX_EPOCH + Duration::from_secs(1_742_029_100);
        let all = read(&headers, now).unwrap_or_default();
        let some = all
            .iter()
            .zip(&SCOPES)
            .filter(|(said, _)| **said != Said::default());
        some.map(|(said, scope)| {
            let number = |it: Option<u64>| it.map_or("-".to_owned(), |it| it.to_string());
            let reset = said
                .reset
                .map(|reset| u64::try_from(reset.as_millis()).unwrap());
            let (limit, remaining) = (number(said.limit), number(said.remaining));
            format!("{}: {limit} {remaining} {}", scope.name, number(reset))
        })
        .collect()
    }

    #[test]
    fn every_recorded_form_is_read() {
        // OpenAI, Groq
        assert_eq!(
            said(&[
                ("x-ratelimit-limit-requests", "5000"),
                ("x-ratelimit-remaining-requests", "4999"),
                ("x-ratelimit-reset-requests", "12ms"),
                ("x-ratelimit-limit-tokens", "450000"),
                ("x-ratelimit-remaining-tokens", "449968"),
                ("x-ratelimit-reset-tokens", "2m59.56s"),
                ("x-ratelimit-remaining-project-tokens", "7"),
                ("x-ratelimit-remaining-input-images", "1"),
            ]),
            [
                "requests: 5000 4999 12",
                "tokens: 450000 449968 179560",
                "project-tokens: - 7 -"
            ]
        );
        // Azure
        assert_eq!(
            said(&[
                ("x-ratelimit-limit-requests", "-1"),
                ("x-ratelimit-remaining-requests", "-1"),
                ("x-ratelimit-remaining-tokens", "100"),
                ("x-ratelimit-reset-tokens", "0"),
                ("x-ratelimit-renewalperiod-tokens", "60"),
                ("x-ratelimit-key", "k"),
            ]),
            ["tokens: - 100 0"]
        );
        // Anthropic
        assert_eq!(
            said(&[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2025-03-15T08:58:28Z"),
                ("anthropic-ratelimit-output-tokens-remaining", "8000"),
            ]),
            ["requests: 50 49 8000", "output-tokens: - 8000 -"]
        );
        // Cerebras
        assert_eq!(
            said(&[
                ("x-ratelimit-limit-requests-day", "14400"),
                ("x-ratelimit-remaining-requests-day", "0"),
                ("x-ratelimit-reset-requests-day", "3501.912966489792"),
                ("x-ratelimit-remaining-tokens-minute", "59000"),
            ]),
            ["requests-day: 14400 0 3501912", "tokens-minute: - 59000 -"]
        );
        // Mistral
        assert_eq!(
            said(&[
                ("x-ratelimit-limit-req-minute", "60"),
                ("x-ratelimit-remaining-req-minute", "59"),
                ("x-ratelimit-remaining-req-10-second", "9"),
                ("x-ratelimit-remaining-audio-seconds-minute", "9"),
                ("x-ratelimit-tokens-query-cost", "9"),
            ]),
            ["req-minute: 60 59 -", "req-10-second: - 9 -"]
        );
        // OpenRouter, Together, Replicate, Hugging Face
        assert_eq!(
            said(&[
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1742029160000"),
            ]),
            [": 20 0 60000"]
        );
        assert_eq!(
            said(&[("ratelimit-remaining", "5"), ("ratelimit-reset", "3")]),
            [": - 5 3000"]
        );
        assert_eq!(
            said(&[
                ("ratelimit", "\"api\";r=999;t=295, \"b\";r=7;t=30"),
                ("ratelimit-policy", "\"fixed window\";\"api\";q=1000;w=300"),
            ]),
            [": - 7 30000"]
        );
    }

    #[test]
    fn garbage_says_nothing() {
        assert_eq!(read(&HeaderMap::new(), UNIX_EPOCH), None);
        for (name, value) in [
            ("x-ratelimit-remaining-requests", "many"),
            ("x-ratelimit-remaining-", "1"),
            ("x-ratelimit-", "1"),
            ("x-ratelimitremaining", "1"),
            ("x-ratelimit-remaining-tokens", "NaN"),
            ("ratelimit", ";;=;r=;t=1,r"),
        ] {
            assert_eq!(said(&[(name, value)]), Vec::<String>::new(), "{name}");
        }
    }
}

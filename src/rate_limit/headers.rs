//! What callers are told of their limits, in OpenAI's headers.

use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::{
    reserve::{Dimension, Level, Levels, Quota},
    wire::digits,
};

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Marks an answer whose headers tell of a limit of this crate already: one further in, which holds for the same request.
#[derive(Debug, Clone, Copy)]
struct Told;

/// States the limits of `quota` that are used up the furthest, in place of what an upstream said of its own; of limits within limits
/// the one that leaves least.
pub(super) fn write<B>(response: &mut Response<B>, quota: &Quota, levels: &Levels) {
    const ALL_TOKENS: [Dimension; 3] = [
        Dimension::Tokens,
        Dimension::InputTokens,
        Dimension::OutputTokens,
    ];
    let is_told = response.extensions_mut().insert(Told).is_some();
    let headers = response.headers_mut();
    for (names, dimensions) in [
        (REQUESTS, &[Dimension::Requests][..]),
        (TOKENS, &ALL_TOKENS),
    ] {
        let level = levels.tightest(quota, dimensions);
        if is_told && leaves_less(headers, &names, level.as_ref()) {
            continue;
        }
        let values = level.map(|level| {
            [
                digits::header(level.limit.amount()),
                digits::header(level.remaining),
                span(level.reset),
            ]
        });
        match values {
            Some(values) => {
                for (name, value) in names.into_iter().zip(values) {
                    headers.insert(name, value);
                }
            }
            None => {
                for name in names {
                    headers.remove(name);
                }
            }
        }
    }
}

/// Whether the limit that stands in `headers` leaves less than `level`.
fn leaves_less(headers: &HeaderMap, names: &[HeaderName; 3], level: Option<&Level>) -> bool {
    let [_, remaining, _] = names;
    let remaining = headers.get(remaining).and_then(|value| value.to_str().ok());
    let remaining = remaining.and_then(|value| value.parse::<u64>().ok());
    remaining.is_some_and(|remaining| level.is_none_or(|level| remaining < level.remaining))
}

fn span(span: Duration) -> HeaderValue {
    const NONE: HeaderValue = HeaderValue::from_static("0s");
    if span.is_zero() {
        return NONE;
    }
    // Digits and letters always are a header's value.
    HeaderValue::try_from(go_duration(span)).unwrap_or(NONE)
}

/// A span as [Go](https://pkg.go.dev/time#Duration.String) writes it, and OpenAI in its headers, in whole milliseconds, rounded up: `6m0s`,
/// `1.5s`, `120ms`, `0s`.
pub(super) fn go_duration(span: Duration) -> String {
    let millis = span.as_millis() + u128::from(!span.subsec_nanos().is_multiple_of(1_000_000));
    // The two that nearly every answer carries, without the costs of formatting.
    match u16::try_from(millis) {
        Ok(0) => return "0s".to_owned(),
        Ok(millis @ 1..1_000) => return millis.to_string() + "ms",
        _ => {}
    }
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let mut text = String::new();
    // Writing to a string cannot fail.
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{}", seconds % 60);
    if millis > 0 {
        let fraction = format!(".{millis:03}");
        text += fraction.trim_end_matches('0');
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{reserve::Limit, wire::duration};

    #[test]
    fn spans_are_written_as_they_are_read_and_never_too_short() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ms"),
            (120_000_000, "120ms"),
            (999_000_001, "1s"),
            (1_500_000_000, "1.5s"),
            (360_000_000_000, "6m0s"),
            (179_560_000_000, "2m59.56s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            let span = Duration::from_nanos(nanos);
            assert_eq!(go_duration(span), text);
            assert!(duration::parse(text).unwrap() >= span, "{text}");
        }
    }

    #[test]
    fn the_tightest_limit_is_stated_and_an_upstreams_own_are_not() {
        let minute = Duration::from_secs(60);
        let quota = Quota::new([
            Limit::tokens(100, minute),
            Limit::tokens(1_000, minute * 60),
        ])
        .unwrap();
        let mut response = Response::new(());
        let seven = HeaderValue::from_static("7");
        response.headers_mut().insert(REQUESTS[0].clone(), seven);
        let backlog = |tokens: u128, window: Duration| tokens * window.as_nanos();
        let levels = Levels::new([backlog(50, minute), backlog(900, minute * 60)]);
        write(&mut response, &quota, &levels);
        let headers = response.headers();
        assert!(!headers.contains_key(&REQUESTS[0]));
        assert_eq!(headers[&TOKENS[0]], "1000");
        assert_eq!(headers[&TOKENS[1]], "100");
        assert_eq!(headers[&TOKENS[2]], "54m0s");
    }
}

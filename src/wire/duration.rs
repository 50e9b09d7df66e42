//! Durations as providers spell them: Go's `6m0s`, and the words of an error message.

use std::time::Duration;

/// Reads a duration in the form of [Go's `time.Duration`](https://pkg.go.dev/time#ParseDuration): `6m0s`, `120ms`, `2m59.56s`, `0`.
///
/// More lenient than Go in that days (`1d`), words (`37 seconds`) and spaces are read too. A sign, a number without a unit
/// (other than `0`) and anything that follows the last unit give `None`. What a [`Duration`] cannot hold becomes
/// [`Duration::MAX`].
///
/// ```
/// # use std::time::Duration;
/// # use tower_relay::wire::duration;
/// assert_eq!(duration::parse("2m59.56s"), Some(Duration::from_millis(179_560)));
/// assert_eq!(duration::parse("-1s"), None);
/// ```
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (duration, rest) = leading(text)?;
    rest.is_empty().then_some(duration)
}

/// The duration that `text` begins with, and what follows it.
pub(super) fn leading(text: &str) -> Option<(Duration, &str)> {
    let (mut total, mut rest) = part(text)?;
    while let Some((more, after)) = part(rest) {
        total = total.saturating_add(more);
        rest = after;
    }
    Some((total, rest))
}

/// Seconds as a duration, to the nearest nanosecond. `None` if negative or not finite.
pub(super) fn from_secs(seconds: f64) -> Option<Duration> {
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// One number with its unit, and what follows them.
fn part(text: &str) -> Option<(Duration, &str)> {
    let (number, rest) = number(text.trim_start())?;
    let (unit, rest) = unit(rest.trim_start())?;
    Some((from_secs((number * unit).min(f64::MAX))?, rest))
}

/// Digits with an optional fraction. A point without digits after it ends a sentence.
fn number(text: &str) -> Option<(f64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(text);
    if let Some(fraction) = text
        .get(end..)?
        .strip_prefix('.')
        .map(digits)
        .filter(|&digits| digits > 0)
    {
        end += 1 + fraction;
    }
    let (number, rest) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, rest))
}

/// The seconds in a unit.
fn unit(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_alphabetic())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let seconds = match name {
        "ns" => 1e-9,
        // Go writes the micro sign and reads the Greek letter as well.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    Some((seconds, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_recorded_spelling_is_read() {
        for (text, micros) in [
            ("6m0s", 360_000_000),
            ("12.967s", 12_967_000),
            ("120ms", 120_000),
            ("1ms", 1_000),
            ("0s", 0),
            ("0", 0),
            ("2m59.56s", 179_560_000),
            ("1h27m50.4s", 5_270_400_000),
            ("1h0m0s", 3_600_000_000),
            ("1.5µs", 1),
            ("1.5h", 5_400_000_000),
            ("1d12h", 129_600_000_000),
            (".5s", 500_000),
            ("37 seconds", 37_000_000),
            (" 1 minute 30 seconds ", 90_000_000),
        ] {
            assert_eq!(
                parse(text).map(|wait| wait.as_micros()),
                Some(micros),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_a_duration_is_none() {
        for text in [
            "",
            "s",
            "-1s",
            "+1s",
            "5",
            "1.s",
            "1s!",
            "1e3s",
            "NaNs",
            "infs",
            "1y",
            "1 business day",
            "é",
            "1é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_no_duration_can_hold_saturates() {
        assert_eq!(parse("99999999999999999999h"), Some(Duration::MAX));
        assert_eq!(
            parse("18446744073709551000s 9000000000000000000s"),
            Some(Duration::MAX)
        );
    }

    proptest! {
        #[test]
        fn what_go_writes_reads_back(hours in 0_u64..500, minutes in 0_u64..60, millis in 0_u64..60_000) {
            let text = format!("{hours}h{minutes}m{}.{:03}s", millis / 1000, millis % 1000);
            let expected = Duration::from_secs(hours * 3600 + minutes * 60) + Duration::from_millis(millis);
            prop_assert_eq!(parse(&text), Some(expected));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[0-9.smhdnµu \\-é]{0,24}") {
            if let Some((_, rest)) = leading(&text) {
                prop_assert!(text.ends_with(rest));
            }
        }
    }
}

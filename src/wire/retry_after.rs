//! How long a provider asks to wait, in every form that providers state it, and how this crate states it.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use http::{HeaderMap, StatusCode};
//! use tower_relay::wire::retry_after;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("x-ratelimit-remaining-tokens", "0".parse()?);
//! headers.insert("x-ratelimit-reset-tokens", "2m59.56s".parse()?);
//! let wait = retry_after::from_headers(StatusCode::TOO_MANY_REQUESTS, &headers, SystemTime::UNIX_EPOCH);
//! assert_eq!(wait, Some(Duration::from_millis(179_560)));
//!
//! let wait = retry_after::from_message("Rate limit reached. Please try again in 41.724s.");
//! assert_eq!(wait, Some(Duration::from_millis(41_724)));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{AsHeaderName, RETRY_AFTER},
};
use memchr::memmem;

use super::{duration, rfc3339};

/// Milliseconds, as Azure sends them and the OpenAI SDKs read them before `retry-after`.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The longest wait that is reported: 365 days. Longer ones become this, so that adding one to an instant never overflows.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Numbers from here on cannot be seconds to wait (31 years): they are seconds since the Unix epoch.
const EPOCH_SECONDS: f64 = 1e9;
/// Numbers from here on are milliseconds since the Unix epoch.
const EPOCH_MILLIS: f64 = 1e12;

/// The wait that an answer's headers ask for.
///
/// `None` on a status below 400: Anthropic and Hugging Face send `retry-after` with answers that succeeded. Otherwise the
/// first of these that can be read:
///
/// 1. `retry-after-ms`: milliseconds, fractions allowed.
/// 2. `retry-after`: seconds, fractions allowed, or an HTTP date.
/// 3. The reset of a rate-limit window (`x-ratelimit-reset-*`, `anthropic-ratelimit-*-reset`, `ratelimit-reset` and the IETF
///    draft's `ratelimit: "name";r=0;t=30`).
///
/// A reset says when a window is full again, not that one must wait for it. So it counts only if the same window's
/// remaining amount is 0. Of several such windows the longest counts: a request needs room in all. Where none is known
/// to be exhausted, a 429 is explained by the windows that do not state what remains, again the longest. A remaining amount
/// below 0 (Azure's -1) means that there is no limit.
///
/// Values of 2 and 3 may be seconds, Go durations, RFC 3339 or HTTP dates, or seconds or milliseconds since the Unix epoch (told
/// by their size). A moment that has passed is a wait of zero. Garbage, negative and non-finite values are as if
/// absent; waits beyond [`LONGEST`] become [`LONGEST`].
pub fn from_headers(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if status.as_u16() < 400 {
        return None;
    }
    let millis = text(headers, RETRY_AFTER_MS)
        .and_then(|value| duration::from_secs(value.parse::<f64>().ok()? / 1000.0));
    let wait = millis
        .or_else(|| read_wait(text(headers, RETRY_AFTER)?, now))
        .or_else(|| exhausted_window(status, headers, now))?;
    Some(wait.min(LONGEST))
}

/// The wait that an error message or body asks for, the longest if several do.
///
/// Reads "try again in 6m0s", "retry in 48.9s", "retry after 37 seconds" and the `"retryDelay": "48s"` of Google's `RetryInfo`.
/// Waits beyond [`LONGEST`] become [`LONGEST`].
pub fn from_message(message: &str) -> Option<Duration> {
    HINTS
        .iter()
        .flat_map(|&(initial, phrase)| {
            memmem::find_iter(message.as_bytes(), phrase).filter_map(move |at| {
                let before = message.as_bytes().get(at.checked_sub(1)?)?;
                let after = message.get(at + phrase.len()..)?;
                let quoted = after.trim_start_matches([' ', ':', '"', '\\']);
                before
                    .eq_ignore_ascii_case(&initial)
                    .then(|| duration::leading(quoted))?
            })
        })
        .map(|(wait, _)| wait.min(LONGEST))
        .max()
}

/// What precedes a wait in a message. Only the first letter's case varies.
const HINTS: [(u8, &str); 4] = [
    (b't', "ry again in "),
    (b'r', "etry in "),
    (b'r', "etry after "),
    (b'r', "etryDelay"),
];

/// States `wait` as `retry-after` (seconds, rounded up: never 0 for a wait that is not) and `retry-after-ms` (milliseconds,
/// rounded up), in place of what was there.
pub fn write(headers: &mut HeaderMap, wait: Duration) {
    let rounded_up =
        |whole: u64, rest: u32| HeaderValue::from(whole.saturating_add(u64::from(rest > 0)));
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    headers.insert(RETRY_AFTER, rounded_up(wait.as_secs(), wait.subsec_nanos()));
    headers.insert(
        RETRY_AFTER_MS,
        rounded_up(millis, wait.subsec_nanos() % 1_000_000),
    );
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn exhausted_window(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let (mut exhausted, mut unstated) = (None, None);
    let mut add = |remaining: Option<f64>, wait: Duration| match remaining {
        Some(0.0) => exhausted = exhausted.max(Some(wait)),
        Some(_) => {}
        None => unstated = unstated.max(Some(wait)),
    };
    for (name, value) in headers {
        let (name, Ok(value)) = (name.as_str(), value.to_str()) else {
            continue;
        };
        if name == "ratelimit" {
            for window in value.split(',') {
                if let Some(wait) = parameter(window, "t").and_then(duration::from_secs) {
                    add(parameter(window, "r"), wait);
                }
            }
        } else if name.contains("ratelimit")
            && name.contains("reset")
            && let Some(wait) = read_wait(value, now)
        {
            let remaining = text(headers, name.replace("reset", "remaining"));
            add(remaining.and_then(number), wait);
        }
    }
    exhausted.or(unstated.filter(|_| status == StatusCode::TOO_MANY_REQUESTS))
}

/// A numeric parameter of a structured field item, such as `t` in `"api";r=999;t=295`.
fn parameter(item: &str, key: &str) -> Option<f64> {
    item.split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .and_then(|(_, value)| number(value))
}

fn number(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// A wait, or the moment at which it ends, in any of the spellings.
pub(crate) fn read_wait(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let until = |moment: SystemTime| moment.duration_since(now).unwrap_or_default();
    let since_epoch = |seconds| {
        let moment = UNIX_EPOCH.checked_add(duration::from_secs(seconds)?);
        // One that the clock has no room for is no less far away.
        Some(moment.map_or(LONGEST, until))
    };
    match value.parse::<f64>() {
        Ok(millis) if millis >= EPOCH_MILLIS => since_epoch(millis / 1000.0),
        Ok(seconds) if seconds >= EPOCH_SECONDS => since_epoch(seconds),
        Ok(seconds) => duration::from_secs(seconds),
        Err(_) => duration::parse(value)
            .or_else(|| rfc3339::parse(value).map(until))
            .or_else(|| httpdate::parse_http_date(value).ok().map(until)),
    }
}

#[cfg(test)]
mod tests;

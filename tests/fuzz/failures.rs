//! What must hold of the reading of errors and waits whatever an upstream sends.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower_relay::{
    message::{ApiError, Dialect},
    wire::retry_after,
};

const HEADERS: [&str; 6] = [
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset",
    "anthropic-ratelimit-tokens-reset",
    "x-amzn-errortype",
];

fn status(byte: u8) -> StatusCode {
    StatusCode::from_u16(200 + u16::from(byte) * 2 % 400).unwrap()
}

/// Waits are bounded, and what is written is read again, to the millisecond above.
pub(crate) fn wait(data: &[u8]) {
    let [what, which, value @ ..] = data else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(value) {
        let name = HEADERS[usize::from(*which) % HEADERS.len()];
        headers.insert(HeaderName::from_static(name), value);
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let stated = retry_after::from_headers(status(*what), &headers, now);
    let said = retry_after::from_message(&String::from_utf8_lossy(value));
    for wait in [stated, said].into_iter().flatten() {
        assert!(wait <= retry_after::LONGEST, "{wait:?}");
        let mut written = HeaderMap::new();
        retry_after::write(&mut written, wait);
        let read = retry_after::from_headers(StatusCode::TOO_MANY_REQUESTS, &written, now);
        let read = read.unwrap();
        let slack = wait + Duration::from_millis(2);
        assert!(
            read + Duration::from_millis(1) >= wait && read <= slack,
            "{wait:?} {read:?}"
        );
    }
}

/// An error has a message, nothing of it is longer than it may be, and in each dialect it is JSON that reads as it was.
pub(crate) fn error(data: &[u8]) {
    let [what, which, body @ ..] = data else {
        return;
    };
    let mut headers = HeaderMap::new();
    if *which < 6 {
        let value = HeaderValue::from_bytes(&body[..body.len().min(32)]);
        let name = HeaderName::from_static(HEADERS[usize::from(*which)]);
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    let error = ApiError::read(status(*what), &headers, body);
    assert!(error.status().as_u16() >= 400, "{}", error.status());
    let message = error.message();
    assert!(
        !message.trim().is_empty() && message.len() <= 4 << 10,
        "{message:?}"
    );
    for word in [Some(error.kind()), error.code(), error.param()] {
        assert!(word.is_none_or(|word| word.len() <= 256), "{word:?}");
    }
    assert!(error.details().map(str::len).sum::<usize>() <= 64 << 10);
    assert!(
        error
            .retry_after()
            .is_none_or(|wait| wait <= retry_after::LONGEST)
    );
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let json = error.to_json(dialect);
        assert!(json.len() <= 512 << 10);
        let again = ApiError::read(error.status(), &HeaderMap::new(), json.as_bytes());
        assert_eq!(again.message(), message);
    }
}

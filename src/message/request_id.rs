//! The name under which everything that belongs to one request is found again.

use std::{fmt, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{random::Random, wire::digits};

/// The header that carries a [`RequestId`], on requests and answers.
pub const X_RELAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-relay-request-id");

/// The longest id that is taken over from a caller, in bytes.
const MAX_LEN: usize = 128;

/// A request's id: taken over from the caller's `x-relay-request-id`, or made.
///
/// Stands in the extensions of the request, and in the headers of its answer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Text);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// Hexadecimal digits, kept in place: most ids are made, and cloned a few times.
    Made([u8; 32]),
    Given(HeaderValue),
}

impl RequestId {
    /// An id of 32 hexadecimal digits: half of it random per process, half of it never the same twice in one.
    pub fn generate() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| Random::from_entropy().next());
        static IDS: LazyLock<Random> = LazyLock::new(Random::from_entropy);

        let whole = (u128::from(*PROCESS) << 64) | u128::from(IDS.next());
        let mut text = [0; 32];
        for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(whole.to_be_bytes()) {
            *pair = digits::hex(byte);
        }
        Self(Text::Made(text))
    }

    /// The id that the caller sent, where it is one: at most 128 visible ASCII characters.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        // Few callers send one, and to hash so long a name costs more than to look at all that they send.
        let mut all = headers.iter();
        let (_, value) = all.find(|(name, _)| **name == X_RELAY_REQUEST_ID)?;
        let text = value.as_bytes();
        (!text.is_empty() && text.len() <= MAX_LEN && text.iter().all(u8::is_ascii_graphic))
            .then(|| Self(Text::Given(value.clone())))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Made(digits) => str::from_utf8(digits).unwrap_or_default(),
            Text::Given(value) => value.to_str().unwrap_or_default(),
        }
    }

    /// The id as the value of a header.
    pub fn to_header(&self) -> HeaderValue {
        match &self.0 {
            // Hexadecimal digits are always a valid header value.
            Text::Made(digits) => {
                HeaderValue::from_bytes(digits).unwrap_or(HeaderValue::from_static("invalid"))
            }
            Text::Given(value) => value.clone(),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn made_ids_are_distinct_and_hexadecimal() {
        let ids: HashSet<_> = (0..10_000)
            .map(|_| RequestId::generate().to_string())
            .collect();
        assert_eq!(ids.len(), 10_000);
        assert!(
            ids.iter()
                .all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        );
    }

    #[test]
    fn only_a_plain_and_short_id_is_taken_over() {
        let from = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_RELAY_REQUEST_ID, HeaderValue::from_str(value).unwrap());
            RequestId::from_headers(&headers)
        };
        assert_eq!(from("req-7").unwrap().as_str(), "req-7");
        assert_eq!(from(""), None);
        assert_eq!(from("a b"), None);
        assert_eq!(from(&"x".repeat(129)), None);
    }
}

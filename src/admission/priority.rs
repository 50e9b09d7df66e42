use std::{fmt, str::FromStr, sync::Arc};

use http::{HeaderName, Request};
use serde::{Deserialize, Deserializer, de};

use crate::message::RequestBody;

/// Who goes first: 0 to 255, the higher the sooner.
///
/// Read and deserialized from `low` (64), `normal` (128), `high` (192), or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// What may wait, such as batches: 64.
    pub const LOW: Self = Self(64);
    /// What nothing else is said of: 128.
    pub const NORMAL: Self = Self(128);
    /// Who somebody waits for: 192.
    pub const HIGH: Self = Self(192);

    /// The priority of this level.
    pub const fn new(level: u8) -> Self {
        Self(level)
    }

    /// Its level.
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl FromStr for Priority {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        for (name, priority) in [
            ("low", Self::LOW),
            ("normal", Self::NORMAL),
            ("high", Self::HIGH),
        ] {
            if text.eq_ignore_ascii_case(name) {
                return Ok(priority);
            }
        }
        let expected = "is not a priority: \"low\", \"normal\", \"high\", or 0 to 255";
        text.parse().map(Self).map_err(|_| expected)
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Priority;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a priority: \"low\", \"normal\", \"high\", or 0 to 255")
            }

            fn visit_u64<E: de::Error>(self, level: u64) -> Result<Priority, E> {
                u8::try_from(level)
                    .map(Priority)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(level), &self))
            }

            fn visit_i64<E: de::Error>(self, level: i64) -> Result<Priority, E> {
                u8::try_from(level)
                    .map(Priority)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(level), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Priority, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Where a request's [`Priority`] is read from. A request that does not say is [`Priority::NORMAL`].
#[derive(Clone)]
pub struct PriorityBy(Source);

#[derive(Clone)]
enum Source {
    Header(HeaderName),
    Custom(PriorityOf),
}

type PriorityOf = Arc<dyn Fn(&Request<RequestBody>) -> Option<Priority> + Send + Sync>;

impl PriorityBy {
    /// A header, such as one that one's own proxy sets. Callers who may set it themselves all have the highest priority soon. What
    /// is no priority counts as none.
    pub fn header(name: HeaderName) -> Self {
        Self(Source::Header(name))
    }

    /// Anything else: what the caller's contract says, or the endpoint.
    pub fn custom(
        priority_of: impl Fn(&Request<RequestBody>) -> Option<Priority> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::Custom(Arc::new(priority_of)))
    }

    /// The priority of `request`.
    pub fn priority_of(&self, request: &Request<RequestBody>) -> Priority {
        let stated = match &self.0 {
            Source::Header(name) => {
                let value = request.headers().get(name);
                value.and_then(|value| value.to_str().ok()?.parse().ok())
            }
            Source::Custom(priority_of) => priority_of(request),
        };
        stated.unwrap_or_default()
    }
}

impl fmt::Debug for PriorityBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Source::Custom(_) => f.write_str("Custom"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_by_name_or_number_and_nothing_else() {
        for (text, level) in [
            ("low", 64),
            ("Normal", 128),
            (" high ", 192),
            ("0", 0),
            ("255", 255),
        ] {
            assert_eq!(text.parse(), Ok(Priority::new(level)), "{text}");
        }
        for text in ["", "urgent", "256", "-1", "1.5"] {
            assert!(text.parse::<Priority>().is_err(), "{text}");
        }
        let read = |json| serde_json::from_str::<Priority>(json).ok();
        assert_eq!(read("\"high\""), Some(Priority::HIGH));
        assert_eq!(read("7"), Some(Priority::new(7)));
        assert_eq!(read("256"), None);
        assert_eq!(read("-1"), None);
    }

    #[test]
    fn a_header_that_is_no_priority_counts_as_none() {
        let by = PriorityBy::header(HeaderName::from_static("x-priority"));
        for (value, priority) in [("high", Priority::HIGH), ("please", Priority::NORMAL)] {
            let request = Request::post("/v1/chat/completions").header("x-priority", value);
            let request = request.body(RequestBody::empty()).unwrap();
            assert_eq!(by.priority_of(&request), priority);
        }
    }
}

//! What is waited for, and how long.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use crate::wire::units;

/// How long an upstream may take once it is asked. Zero is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    #[serde(deserialize_with = "units::duration")]
    pub(super) idle: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub(super) first_token: Duration,
    pub(super) min_tokens_per_second: u32,
}

/// 30 s of silence, as guide A has it, and nothing else.
impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            first_token: Duration::ZERO,
            min_tokens_per_second: 0,
        }
    }
}

impl Limits {
    /// No limit.
    pub fn none() -> Self {
        Self {
            idle: Duration::ZERO,
            ..Self::default()
        }
    }

    /// How long the upstream may be silent while it is waited for: from one event of a stream to the next, or from one piece of any
    /// other body to the next. 30 s by default.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// How long the first output of a stream may take, from the call on. No limit by default.
    pub fn first_token(mut self, limit: Duration) -> Self {
        self.first_token = limit;
        self
    }

    /// The fewest tokens per second that a committed stream may have, estimated by the text of its events. No floor by default.
    pub fn min_tokens_per_second(mut self, tokens: u32) -> Self {
        self.min_tokens_per_second = tokens;
        self
    }
}

/// Why an answer was handed on before it was known to be worth it. Stands in the response's extensions, and in a `tracing` event at
/// debug level; there is none for an answer that showed its first output, or was whole.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Commit {
    /// So many events came without any output.
    Events,
    /// So many bytes came without any output, or a JSON body is longer than is held.
    Bytes,
    /// A stream was held for so long.
    Time,
    /// All answers together hold as much as they may.
    Held,
}

impl Commit {
    /// The reason as a label: lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::Held => "held",
        }
    }
}

/// The most that is held of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) events: u32,
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

/// What a piece counts for at least, in bytes: to hold even an empty one takes memory.
const MIN_PIECE: u64 = 128;

/// What is held of one answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    events: u32,
    bytes: u64,
    first: Option<u8>,
    last: Option<u8>,
}

impl Held {
    /// Takes in a piece; what it counts for, in bytes.
    pub(super) fn add(&mut self, data: &Bytes, events: u32) -> u64 {
        let counted = (data.len() as u64).max(MIN_PIECE);
        self.events = self.events.saturating_add(events);
        self.bytes += counted;
        let is_text = |byte: &&u8| !byte.is_ascii_whitespace();
        self.first = self.first.or_else(|| data.iter().find(is_text).copied());
        self.last = data.iter().rfind(is_text).copied().or(self.last);
        counted
    }

    pub(super) fn events(&self) -> u32 {
        self.events
    }

    /// Whether there is nothing but white space.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The bound that is reached.
    pub(super) fn full(&self, bounds: &Bounds) -> Option<Commit> {
        if self.bytes > bounds.bytes {
            Some(Commit::Bytes)
        } else if self.events >= bounds.events {
            Some(Commit::Events)
        } else {
            None
        }
    }

    /// Whether it can be a JSON value that is whole: an object or an array, from the first byte to the last. A body whose connection
    /// ended in the middle ends so too now and then, and passes.
    pub(super) fn looks_whole(&self) -> bool {
        matches!(
            (self.first, self.last),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(pieces: &[&str]) -> Held {
        let mut held = Held::default();
        for piece in pieces {
            held.add(&Bytes::copy_from_slice(piece.as_bytes()), 1);
        }
        held
    }

    #[test]
    fn each_bound_is_one_by_itself() {
        let bounds = Bounds {
            events: 3,
            bytes: 600,
            time: Duration::ZERO,
        };
        assert_eq!(held(&["a", "b"]).full(&bounds), None);
        assert_eq!(held(&["a", "b", "c"]).full(&bounds), Some(Commit::Events));
        assert_eq!(held(&[&"x".repeat(601)]).full(&bounds), Some(Commit::Bytes));
    }

    #[test]
    fn pieces_of_nothing_fill_the_bound_on_bytes_too() {
        let bounds = Bounds {
            events: u32::MAX,
            bytes: 1000,
            time: Duration::ZERO,
        };
        assert_eq!(held(&[""; 8]).full(&bounds), Some(Commit::Bytes));
    }

    #[test]
    fn an_object_is_whole_with_white_space_around_it_and_a_page_is_not() {
        for (pieces, whole) in [
            (&["\n  ", "{\"a\":", "1}\n"][..], true),
            (&["[", "]"], true),
            (&["{\"a\":"], false),
            (&["<html></html>"], false),
            (&["{]"], false),
            (&[" \n"], false),
            (&[], false),
        ] {
            assert_eq!(held(pieces).looks_whole(), whole, "{pieces:?}");
        }
    }
}

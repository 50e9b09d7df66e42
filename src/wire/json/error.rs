use std::fmt;

use memchr::{memchr_iter, memrchr};

use super::MAX_MEMBERS;

/// The longest part of a duplicate name that an error keeps, in characters: it may end up in a response or a log.
const NAME_CHARS: usize = 64;

/// Why a text is not one JSON object with distinct names, and where.
///
/// Holds nothing of the text but the name of a duplicate member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    kind: JsonErrorKind,
    offset: usize,
    line: usize,
    column: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The text is not JSON.
    Malformed {
        /// What was expected or found, such as `expected value`.
        reason: String,
    },
    /// The text begins as some JSON value other than an object.
    NotAnObject,
    /// Two members have the same name; the position is the second one's.
    DuplicateMember {
        /// The name, unescaped; at most its first 64 characters.
        name: String,
    },
    /// There are more than [`MAX_MEMBERS`] members; the position is the first one too many.
    TooManyMembers,
}

impl JsonError {
    /// What is wrong.
    pub fn kind(&self) -> &JsonErrorKind {
        &self.kind
    }

    /// The byte offset of the fault in the text, from 0.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The line of the fault, from 1; lines end in a line feed.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of the fault, in bytes from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    pub(super) fn at(text: &[u8], offset: usize, kind: JsonErrorKind) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            kind,
            offset: before.len(),
            line: 1 + memchr_iter(b'\n', before).count(),
            column: 1 + before.len() - line_start,
        }
    }

    pub(super) fn malformed(text: &[u8], offset: usize, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::at(text, offset, JsonErrorKind::Malformed { reason })
    }

    pub(super) fn duplicate(text: &[u8], offset: usize, name: &str) -> Self {
        let name = name.chars().take(NAME_CHARS).collect();
        Self::at(text, offset, JsonErrorKind::DuplicateMember { name })
    }

    /// A syntax error of serde_json, whose position is a line and the column of the last byte looked at (0 at
    /// the very end of a line), and whose message ends in that position.
    pub(super) fn from_serde(text: &[u8], error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let line_start = match line.checked_sub(2) {
            Some(nth) => memchr_iter(b'\n', text)
                .nth(nth)
                .map_or(0, |newline| newline + 1),
            None => 0,
        };
        let message = error.to_string();
        let position = format!(" at line {line} column {column}");
        let reason = message.strip_suffix(&position).unwrap_or(&message);
        Self::malformed(text, line_start + column.saturating_sub(1), reason)
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind, line, column, ..
        } = self;
        match kind {
            JsonErrorKind::Malformed { reason } => {
                write!(f, "malformed JSON at line {line} column {column}: {reason}")
            }
            JsonErrorKind::NotAnObject => {
                write!(f, "not a JSON object, at line {line} column {column}")
            }
            JsonErrorKind::DuplicateMember { name } => {
                write!(
                    f,
                    "duplicate member {name:?} at line {line} column {column}"
                )
            }
            JsonErrorKind::TooManyMembers => {
                write!(
                    f,
                    "more than {MAX_MEMBERS} members in one JSON object, at line {line} column {column}"
                )
            }
        }
    }
}

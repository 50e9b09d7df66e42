//! Which line of a file a field stands in, and which field stands at a place.

use std::{fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::InvalidConfig;
use crate::message::ConfigError;

/// No field of a configuration lies deeper.
const MAX_DEPTH: usize = 32;

/// A configuration's text.
pub(super) struct Source {
    name: String,
    text: String,
}

impl fmt::Debug for Source {
    /// Not the text: passwords of stores and proxies may stand in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// What the parser says, by its field.
    pub(super) fn unreadable(&self, error: &toml::de::Error) -> InvalidConfig {
        // The first line only, and not the parser's picture of the place: that may show a key.
        let reason = error.message().lines().next().unwrap_or_default();
        let span = error.span().unwrap_or_default();
        let mut field = self.parsed(|root| path_at(root, &span)).unwrap_or_default();
        // A type that names the place within its own value: `aliases.gpt-*: is there twice`.
        if let Some((inner, rest)) = reason.split_once(": ")
            && let Some((outer, last)) = split_last(&field)
            && let Some(within) = inner
                .strip_prefix(last)
                .and_then(|rest| rest.strip_prefix('.'))
            && !within.is_empty()
        {
            field = join(outer, inner);
            return self.locate(&ConfigError::new(field, rest.to_owned()));
        }
        InvalidConfig::at(&self.name, self.line(span.start), field, reason.to_owned())
    }

    /// The error, by the line of its field; where that is missing, of what it is missing in.
    pub(super) fn locate(&self, error: &ConfigError) -> InvalidConfig {
        let at = self.parsed(|root| place_of(root, error.field()));
        let line = self.line(at.unwrap_or_default());
        InvalidConfig::at(
            &self.name,
            line,
            error.field().to_owned(),
            error.reason().to_owned(),
        )
    }

    fn parsed<T: Default>(&self, look: impl FnOnce(&DeTable<'_>) -> T) -> Option<T> {
        // Parsed again, for only then: configurations that work need no places.
        DeTable::parse(&self.text)
            .ok()
            .map(|root| look(root.get_ref()))
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        self.text
            .bytes()
            .take(at)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1
    }
}

/// The members of a table or array, each with its name and where that stands.
fn members<'a>(value: &'a DeValue<'_>) -> Vec<(String, Range<usize>, &'a Spanned<DeValue<'a>>)> {
    match value {
        DeValue::Table(table) => table_members(table),
        DeValue::Array(array) => array
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item.span(), item))
            .collect(),
        _ => Vec::new(),
    }
}

fn table_members<'a>(
    table: &'a DeTable<'_>,
) -> Vec<(String, Range<usize>, &'a Spanned<DeValue<'a>>)> {
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), key.span(), value))
        .collect()
}

/// The path of the innermost field whose name or value begins where `span` does.
fn path_at(root: &DeTable<'_>, span: &Range<usize>) -> String {
    let mut best = (usize::MAX, String::new());
    let mut open: Vec<_> = table_members(root)
        .into_iter()
        .map(|member| (String::new(), 1, member))
        .collect();
    while let Some((outer, depth, (name, key, value))) = open.pop() {
        let path = join(&outer, &name);
        for place in [key, value.span()] {
            let is_closer = place.len() <= best.0 && place.contains(&span.start);
            if is_closer {
                best = (place.len(), path.clone());
            }
        }
        if depth < MAX_DEPTH {
            open.extend(
                members(value.get_ref())
                    .into_iter()
                    .map(|member| (path.clone(), depth + 1, member)),
            );
        }
    }
    best.1
}

/// Where the field at `path` stands, or the nearest around it. Names may hold dots themselves.
fn place_of(root: &DeTable<'_>, path: &str) -> usize {
    let mut place = 0;
    let mut rest = path;
    let mut within = table_members(root);
    for _ in 0..MAX_DEPTH {
        let found = within.into_iter().find_map(|(name, key, value)| {
            let after = rest.strip_prefix(name.as_str())?;
            let after = if after.is_empty() {
                after
            } else {
                after.strip_prefix('.')?
            };
            Some((key, value, after))
        });
        let Some((key, value, after)) = found else {
            break;
        };
        (place, rest) = (key.start, after);
        within = members(value.get_ref());
    }
    place
}

fn split_last(path: &str) -> Option<(&str, &str)> {
    if path.is_empty() {
        None
    } else {
        Some(path.rsplit_once('.').unwrap_or(("", path)))
    }
}

fn join(outer: &str, inner: &str) -> String {
    if outer.is_empty() {
        inner.to_owned()
    } else {
        format!("{outer}.{inner}")
    }
}

//! Which line of a file a field stands in, and which field stands at a place.

use std::{fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{InvalidConfig, suggest::nearest};
use crate::{gateway::schema, message::ConfigError};

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
        let reason = plainly(&hinted(reason));
        let reason = reason.as_str();
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
        // The same, from the value itself and as TOML writes a path: `models."m".prices.input: is no price`.
        if let Some((inner, rest)) = reason.split_once(": ")
            && !inner.contains(' ')
            && inner.contains('.')
        {
            let path = join(&field, &inner.replace('"', ""));
            return self.locate(&ConfigError::new(path, rest.to_owned()));
        }
        let mut reason = reason.to_owned();
        if reason.starts_with("invalid type: map, expected a sequence") && !field.contains('.') {
            reason = format!("there may be several: write [[{field}]]");
        }
        InvalidConfig::at(&self.name, self.line(span.start), field, reason)
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

/// What a type says, with what was likely meant.
fn hinted(reason: &str) -> String {
    let unknown = ["unknown field `", "unknown variant `"]
        .into_iter()
        .find_map(|kind| Some((kind, reason.strip_prefix(kind)?)));
    if let Some((kind, rest)) = unknown
        && let Some((name, rest)) = rest.split_once('`')
    {
        // Every second piece between backticks is a name.
        let known = rest.split('`').skip(1).step_by(2);
        if let Some(nearest) = nearest(name, known) {
            return format!("{kind}{name}`: did you mean `{nearest}`?");
        }
        let homes = match kind {
            "unknown field `" => schema::homes(name),
            _ => Vec::new(),
        };
        if !homes.is_empty() {
            return format!("{kind}{name}`: it belongs in {}", homes.join(" or "));
        }
    }
    if reason == "duplicate key" {
        return format!("{reason}: the same name stands further up, and can stand only once");
    }
    let quoted = reason
        .strip_prefix("invalid type: string \"")
        .and_then(|rest| rest.split_once("\", expected "));
    match quoted {
        Some((text, "a boolean")) if matches!(text, "true" | "false") => {
            format!("{reason}: write {text} without the quotes")
        }
        Some((text, wanted))
            if is_number(wanted)
                && !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            format!("{reason}: write {text} without the quotes")
        }
        Some((_, "a sequence")) => format!("{reason}: write it in brackets, as in [\"...\"]"),
        _ => address_hinted(reason).unwrap_or_else(|| reason.to_owned()),
    }
}

/// What an address to listen on looks like, where one was expected.
fn address_hinted(reason: &str) -> Option<String> {
    let is_address = reason.ends_with("expected socket address")
        || reason.starts_with("invalid socket address syntax");
    let port = reason
        .strip_prefix("invalid type: integer `")
        .and_then(|rest| rest.split('`').next())
        .unwrap_or("8080");
    is_address.then(|| format!("{reason}: write an address and a port, as in \"127.0.0.1:{port}\""))
}

/// What is expected, without the names of this language's types.
fn plainly(reason: &str) -> String {
    let Some((said, expected)) = reason.rsplit_once(", expected ") else {
        return reason.to_owned();
    };
    let (wanted, hint) = expected.split_once(':').unwrap_or((expected, ""));
    let plain = match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        _ => return reason.to_owned(),
    };
    let colon = if hint.is_empty() { "" } else { ":" };
    format!("{said}, expected {plain}{colon}{hint}")
}

fn is_number(wanted: &str) -> bool {
    matches!(
        wanted,
        "u8" | "u16" | "u32" | "u64" | "usize" | "i16" | "i64" | "f64"
    )
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

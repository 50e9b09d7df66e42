//! Values as providers really write them. None of these ever fails on a type it did not expect: one odd member must not
//! cost the usage beside it.

use std::borrow::Cow;

use crate::wire::json::{Cursor, Kind, Value};

/// A count above this (10^12 or so, a million full context windows) is a defect, and is not charged to anyone.
const MAX_COUNT: u64 = 1 << 40;

/// A name longer than this is not a name.
const MAX_NAME: usize = 256;

/// Reads a count: an integer, a float, or either in a string. Below zero it is 0; anything else states nothing. Of several the largest
/// stands.
pub(super) fn count(cursor: &mut Cursor<'_>, count: &mut Option<u64>) -> Option<()> {
    if let Some(stated) = count_in(cursor.value()?) {
        *count = Some(count.unwrap_or(0).max(stated));
    }
    Some(())
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float's cast saturates, so what is out of range stays out of range"
)]
fn count_in(value: Value<'_>) -> Option<u64> {
    const LONGEST: usize = 24;
    // What nearly all of them are.
    if let Some(count) = value.as_u64() {
        return (count <= MAX_COUNT).then_some(count);
    }
    let text = match value.kind() {
        Kind::Number => std::str::from_utf8(value.raw()).ok()?.into(),
        Kind::String => value.as_str().filter(|text| text.len() <= LONGEST)?,
        _ => return None,
    };
    let text = text.trim();
    let count = text.parse().ok().or_else(|| {
        let count: f64 = text.parse().ok()?;
        (!count.is_nan()).then_some(count as u64)
    })?;
    (count <= MAX_COUNT).then_some(count)
}

/// Reads a name: a non-empty string, or a number where an enumeration was written by its value.
pub(super) fn name<'a>(cursor: &mut Cursor<'a>, name: &mut Option<Cow<'a, str>>) -> Option<()> {
    if let Some(stated) = name_in(cursor.value()?) {
        *name = Some(stated);
    }
    Some(())
}

fn name_in(value: Value<'_>) -> Option<Cow<'_, str>> {
    let name = match value.kind() {
        Kind::String => value.as_str()?,
        Kind::Number => {
            let number = std::str::from_utf8(value.raw()).ok()?;
            number.parse::<u64>().ok()?;
            number.into()
        }
        _ => return None,
    };
    (1..=MAX_NAME).contains(&name.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(json: &str) -> Option<u64> {
        let mut counted = None;
        count(&mut Cursor::of_bytes(json.as_bytes()), &mut counted).unwrap();
        counted
    }

    #[test]
    fn a_count_may_be_an_integer_a_float_or_a_string() {
        for (json, expected) in [
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("12.9", Some(12)),
            (r#""12""#, Some(12)),
            (r#""12.0""#, Some(12)),
            ("0", Some(0)),
            ("-9", Some(0)),
            ("-0.5", Some(0)),
        ] {
            assert_eq!(counted(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_count_states_nothing() {
        for json in [
            "null",
            "true",
            "{}",
            r#"{"a":[1]}"#,
            "[1,2]",
            r#""many""#,
            r#""NaN""#,
            "1e300",
            "18446744073709551615",
        ] {
            assert_eq!(counted(json), None, "{json}");
        }
    }

    #[test]
    fn an_empty_or_endless_name_states_nothing() {
        for (json, expected) in [
            (r#""stop""#.to_owned(), Some("stop")),
            (r#""s\u0074op""#.to_owned(), Some("stop")),
            ("2".to_owned(), Some("2")),
            (r#""""#.to_owned(), None),
            ("null".to_owned(), None),
            (format!("\"{}\"", "x".repeat(300)), None),
        ] {
            let mut named = None;
            name(&mut Cursor::of_bytes(json.as_bytes()), &mut named).unwrap();
            assert_eq!(named.as_deref(), expected, "{json}");
        }
    }
}

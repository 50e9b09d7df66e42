//! Values as providers really write them. None of these ever fails on a type it did not expect: one odd member must not
//! cost the usage beside it.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A count above this (10^12 or so, a million full context windows) is a defect, and is not charged to anyone.
const MAX_COUNT: u64 = 1 << 40;

/// A name longer than this is not a name.
const MAX_NAME: usize = 256;

/// Skips the value of the member whose name was just read.
pub(super) fn skip_value<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value().map(|IgnoredAny| ())
}

pub(super) fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

pub(super) fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Defines the `visit_` methods of a visitor whose value is `()` for the types it has no use for.
macro_rules! pass_over {
    (bool) => {
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
    };
    (unit) => {
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    };
    (number) => {
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
    };
    (str) => {
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
    };
    (seq) => {
        fn visit_seq<A: ::serde::de::SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
            $crate::message::usage::lenient::skip_seq(seq)
        }
    };
    (map) => {
        fn visit_map<A: ::serde::de::MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
            $crate::message::usage::lenient::skip_map(map)
        }
    };
    ($($kind:ident)+) => {
        $($crate::message::usage::lenient::pass_over!($kind);)+
    };
}
pub(super) use pass_over;

/// Reads a count: an integer, a float, or either in a string. Below zero it is 0; anything else states nothing.
pub(super) struct Count<'a>(pub(super) &'a mut Option<u64>);

impl Count<'_> {
    fn state(self, count: u64) {
        if count <= MAX_COUNT {
            *self.0 = Some(self.0.unwrap_or(0).max(count));
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn state_float(self, count: f64) {
        if !count.is_nan() {
            // A float cast saturates, so what is out of range stays out of range.
            self.state(count as u64);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    pass_over!(bool unit seq map);

    fn visit_u64<E>(self, count: u64) -> Result<(), E> {
        self.state(count);
        Ok(())
    }

    fn visit_i64<E>(self, count: i64) -> Result<(), E> {
        self.state(u64::try_from(count).unwrap_or(0));
        Ok(())
    }

    fn visit_f64<E>(self, count: f64) -> Result<(), E> {
        self.state_float(count);
        Ok(())
    }

    fn visit_str<E>(self, count: &str) -> Result<(), E> {
        const LONGEST: usize = 24;
        if count.len() <= LONGEST
            && let Ok(count) = count.trim().parse()
        {
            self.state_float(count);
        }
        Ok(())
    }
}

/// Reads a name: a non-empty string, or a number where an enumeration was written by its value.
pub(super) struct Name<'a, 'de>(pub(super) &'a mut Option<Cow<'de, str>>);

impl<'de> Name<'_, 'de> {
    fn state(self, name: impl Into<Cow<'de, str>> + AsRef<str>) {
        if (1..=MAX_NAME).contains(&name.as_ref().len()) {
            *self.0 = Some(name.into());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Name<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Name<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    pass_over!(bool unit seq map);

    fn visit_u64<E>(self, name: u64) -> Result<(), E> {
        self.state(name.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<(), E> {
        self.state(name);
        Ok(())
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.state(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(json: &str) -> Option<u64> {
        let mut count = None;
        Count(&mut count)
            .deserialize(&mut serde_json::Deserializer::from_str(json))
            .unwrap();
        count
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
            assert_eq!(count(json), expected, "{json}");
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
            assert_eq!(count(json), None, "{json}");
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
            let mut name = None;
            Name(&mut name)
                .deserialize(&mut serde_json::Deserializer::from_str(&json))
                .unwrap();
            assert_eq!(name.as_deref(), expected, "{json}");
        }
    }
}

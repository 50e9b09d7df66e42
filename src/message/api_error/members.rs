//! The members of an answer that tell whether it is an error.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, value::RawValue};

use super::read::MAX_BODY;

/// The members of which an error consists.
pub(super) const OF_ERROR: &[&str] = &[
    "error",
    "errors",
    "type",
    "object",
    "code",
    "message",
    "param",
    "detail",
    "details",
    "title",
    "status",
    "status_code",
    "raw_status_code",
    "error_type",
    "error_message",
];
/// The members that only an answer has.
pub(super) const OF_ANSWER: &[&str] = &[
    "choices",
    "output",
    "data",
    "candidates",
    "content",
    "embeddings",
    "result",
];
const OTHERS: &[&str] = &["success", "response"];
const COUNT: usize = OF_ERROR.len() + OF_ANSWER.len() + OTHERS.len();

fn position(name: &str) -> Option<usize> {
    let mut names = OF_ERROR.iter().chain(OF_ANSWER).chain(OTHERS);
    names.position(|known| *known == name)
}

/// The members of one object that matter here, as they stand in the text; never `null`.
#[derive(Default)]
pub(super) struct Members<'a>([Option<&'a RawValue>; COUNT]);

impl<'a> Members<'a> {
    pub(super) fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    pub(super) fn visit<A: MapAccess<'a>>(mut map: A) -> Result<Self, A::Error> {
        let mut members = Self::default();
        while let Some(Name(at)) = map.next_key()? {
            match at.and_then(|at| members.0.get_mut(at)) {
                Some(slot) => {
                    let value = map.next_value::<&RawValue>()?;
                    *slot = slot.or(Some(value).filter(|value| value.get() != "null"));
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(members)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .get(position(name)?)
            .copied()
            .flatten()
            .map(RawValue::get)
    }

    pub(super) fn is(&self, name: &str, text: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.trim_matches('"') == text)
    }

    /// Whether a member is there and [says something](says_something).
    pub(super) fn says(&self, name: &str) -> bool {
        self.get(name).is_some_and(says_something)
    }
}

/// What `find` finds first in the objects of an array. Reads on to its end, holding one element at a time.
pub(super) fn first<'de, A: SeqAccess<'de>, T>(
    mut seq: A,
    find: impl Fn(Members<'de>) -> Option<T>,
) -> Result<Option<T>, A::Error> {
    let mut found = None;
    while let Some(json) = seq.next_element::<&RawValue>()? {
        found = found.or_else(|| find(Members::of(json.get())?));
    }
    Ok(found)
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Members::visit(map)
            }
        }

        json.deserialize_map(Object)
    }
}

/// The place in [`Members`] of a member's name.
struct Name(Option<usize>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(position(name)))
            }
        }

        json.deserialize_str(Text)
    }
}

/// A value of reasonable size.
pub(super) fn parse(json: &str) -> Option<Value> {
    if json.len() > MAX_BODY {
        None
    } else {
        serde_json::from_str(json).ok()
    }
}

/// Whether a value is more than the absence of one: providers fill in `null`, `""`, `{}`, `[]`, and objects of those.
pub(super) fn says_something(json: &str) -> bool {
    fn is_more(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(values) => values.iter().any(is_more),
            Value::Object(members) => members.values().any(is_more),
        }
    }
    parse(json).is_none_or(|value| is_more(&value))
}

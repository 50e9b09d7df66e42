use std::{borrow::Cow, fmt};

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Edit, Value, plain::plain};

/// A JSON value to be written. Valid by construction: from a Rust string, number or truth value, from a value of
/// another object, or from what serde_json made.
///
/// A `&str` becomes a JSON string; JSON text goes through [`RawValue`].
#[derive(Clone)]
pub struct NewValue<'a> {
    pub(super) raw: Cow<'a, [u8]>,
}

impl NewValue<'_> {
    /// Encodes any serializable value.
    ///
    /// # Errors
    ///
    /// When `value` refuses, or has a map whose keys are not strings.
    pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self {
            raw: serde_json::to_vec(value)?.into(),
        })
    }

    fn owned(json: String) -> Self {
        Self {
            raw: json.into_bytes().into(),
        }
    }
}

impl fmt::Debug for NewValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::new(&self.raw).fmt(f)
    }
}

/// An object that was just edited, to be set in the one around it.
impl From<Edit<'_>> for NewValue<'_> {
    fn from(edit: Edit<'_>) -> Self {
        Self {
            raw: Cow::Owned(edit.into_text().into()),
        }
    }
}

impl From<&str> for NewValue<'_> {
    fn from(text: &str) -> Self {
        if plain(text.as_bytes()) == text.len() {
            return Self::owned(["\"", text, "\""].concat());
        }
        // Text always serializes.
        Self::serialize(text).unwrap_or(Self {
            raw: Cow::Borrowed(b"null"),
        })
    }
}

impl From<bool> for NewValue<'_> {
    fn from(value: bool) -> Self {
        Self {
            raw: Cow::Borrowed(if value { b"true" } else { b"false" }),
        }
    }
}

impl From<u64> for NewValue<'_> {
    fn from(number: u64) -> Self {
        Self::owned(number.to_string())
    }
}

impl From<serde_json::Value> for NewValue<'_> {
    fn from(value: serde_json::Value) -> Self {
        Self::owned(value.to_string())
    }
}

impl<'a> From<Value<'a>> for NewValue<'a> {
    fn from(value: Value<'a>) -> Self {
        Self {
            raw: value.raw().into(),
        }
    }
}

impl<'a> From<&'a RawValue> for NewValue<'a> {
    fn from(json: &'a RawValue) -> Self {
        Self {
            raw: json.get().as_bytes().into(),
        }
    }
}

impl From<Box<RawValue>> for NewValue<'_> {
    fn from(json: Box<RawValue>) -> Self {
        Self::owned(String::from(Box::<str>::from(json)))
    }
}

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::{Model, failure::Failure};

/// A request that named a model of ours.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) model: &'a Model,
    /// Hexadecimal, the same for the same path and body.
    pub(super) hash: &'a str,
    /// In seconds since the Unix epoch.
    pub(super) created: u64,
}

/// The members of a JSON object. A member that is null counts as absent, as it does at OpenAI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// # Errors
    ///
    /// A 400 that names the member, if `read` does not take it.
    fn read<T>(
        self,
        name: &'static str,
        expected: impl FnOnce() -> String,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let refused =
            || Failure::invalid(name, format!("Invalid '{name}': expected {}.", expected()));
        read(value).ok_or_else(refused).map(Some)
    }

    pub(super) fn text(self, name: &'static str) -> Result<Option<&'a str>, Failure> {
        self.read(name, || "a string".to_owned(), Value::as_str)
    }

    pub(super) fn flag(self, name: &'static str) -> Result<bool, Failure> {
        Ok(self
            .read(name, || "a boolean".to_owned(), Value::as_bool)?
            .unwrap_or(false))
    }

    pub(super) fn list(self, name: &'static str) -> Result<Option<&'a [Value]>, Failure> {
        self.read(
            name,
            || "an array".to_owned(),
            |value| value.as_array().map(Vec::as_slice),
        )
    }

    pub(super) fn object(self, name: &'static str) -> Result<Option<Fields<'a>>, Failure> {
        self.read(name, || "an object".to_owned(), Fields::of)
    }

    pub(super) fn integer(
        self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Failure> {
        self.read(
            name,
            || format!("an integer from {} to {}", range.start(), range.end()),
            |value| value.as_u64().filter(|number| range.contains(number)),
        )
    }

    /// The cap on the output, in tokens, under any of the names it goes by.
    pub(super) fn output_cap(self) -> Result<usize, Failure> {
        let mut cap = u64::MAX;
        for name in ["max_completion_tokens", "max_tokens", "max_output_tokens"] {
            cap = cap.min(self.integer(name, 1..=u64::MAX)?.unwrap_or(u64::MAX));
        }
        Ok(usize::try_from(cap).unwrap_or(usize::MAX))
    }
}

/// The text of a message's content: a string, or the text parts of a list.
pub(super) fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let parts = parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str));
            parts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

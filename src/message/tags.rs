//! What a request is for, in words of whoever sends it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Labels of a request, such as its feature, user or team. A layer of one's own puts them into the request's extensions; they go
/// into the ledger and the audit.
///
/// Bounded: at most 16, a name of at most 64 bytes, a value of at most 256. What is beyond is left out.
///
/// ```
/// use tower_relay::message::Tags;
///
/// let tags = Tags::from_iter([("feature", "search"), ("team", "growth")]);
/// assert_eq!(tags.get("team"), Some("growth"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<Box<str>, Box<str>>);

impl Tags {
    const MAX: usize = 16;
    const MAX_NAME: usize = 64;
    const MAX_VALUE: usize = 256;

    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one, or replaces it; whether there was room.
    pub fn insert(&mut self, name: &str, value: &str) -> bool {
        let fits = name.len() <= Self::MAX_NAME && value.len() <= Self::MAX_VALUE;
        let has_room = self.0.len() < Self::MAX || self.0.contains_key(name);
        if fits && has_room {
            self.0.insert(name.into(), value.into());
        }
        fits && has_room
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Tags {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(tags: I) -> Self {
        let mut all = Self::default();
        for (name, value) in tags {
            all.insert(name, value);
        }
        all
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_bounded_in_number_and_size() {
        let mut tags = Tags::new();
        for number in 0..100 {
            tags.insert(&number.to_string(), "x");
        }
        assert_eq!(tags.iter().count(), 16);
        assert!(tags.insert("0", "replaced"));
        assert_eq!(tags.get("0"), Some("replaced"));
        assert!(!Tags::new().insert("name", &"x".repeat(257)));
    }
}

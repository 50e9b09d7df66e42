//! Names of models, with a `*` for what may vary.

use std::{borrow::Cow, cmp::Reverse, collections::HashMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};

use super::ConfigError;

/// A model's name, or a pattern of names with one `*` in it: `gpt-4.1`, `claude-*`, `*-preview`, `*`.
///
/// ```
/// use tower_relay::message::ModelPattern;
///
/// let pattern: ModelPattern = "openai/*".parse()?;
/// assert!(pattern.matches("openai/gpt-4.1"));
/// assert_eq!(pattern.capture("openai/gpt-4.1"), Some("gpt-4.1"));
/// assert!(!pattern.matches("gpt-4.1"));
/// # Ok::<(), tower_relay::message::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelPattern {
    prefix: String,
    /// What follows the `*`; without one the prefix is the whole name.
    suffix: Option<String>,
}

impl ModelPattern {
    /// Whether `model` is one of those meant.
    pub fn matches(&self, model: &str) -> bool {
        self.capture(model).is_some()
    }

    /// What stands in `model` for the `*`: nothing for a plain name. `None` where it does not match.
    pub fn capture<'a>(&self, model: &'a str) -> Option<&'a str> {
        let rest = model.strip_prefix(&*self.prefix)?;
        match &self.suffix {
            Some(suffix) => rest.strip_suffix(&**suffix),
            None => rest.is_empty().then_some(rest),
        }
    }

    /// Whether it is a plain name, without a `*`.
    pub fn is_exact(&self) -> bool {
        self.suffix.is_none()
    }

    /// The literal text before the `*`, and after it: of two patterns that match, the one with more is the closer.
    pub fn literal_len(&self) -> (usize, usize) {
        (
            self.prefix.len(),
            self.suffix.as_ref().map_or(0, String::len),
        )
    }

    /// The name that this pattern stands for when `captured` takes the place of the `*`.
    pub fn fill<'a>(&'a self, captured: &str) -> Cow<'a, str> {
        match &self.suffix {
            Some(suffix) => [&*self.prefix, captured, &**suffix].concat().into(),
            None => Cow::Borrowed(&self.prefix),
        }
    }
}

impl FromStr for ModelPattern {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let fail = |reason: &str| Err(ConfigError::new("model", format!("{text:?} {reason}")));
        if text.trim() != text || text.is_empty() {
            return fail("is empty or has white space around it");
        }
        match text.split_once('*') {
            Some((_, suffix)) if suffix.contains('*') => fail("has more than one \"*\""),
            Some((prefix, suffix)) => Ok(Self {
                prefix: prefix.to_owned(),
                suffix: Some(suffix.to_owned()),
            }),
            None => Ok(Self {
                prefix: text.to_owned(),
                suffix: None,
            }),
        }
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.suffix {
            Some(suffix) => write!(f, "{}*{suffix}", self.prefix),
            None => f.write_str(&self.prefix),
        }
    }
}

impl<'de> Deserialize<'de> for ModelPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: ConfigError| D::Error::custom(error.reason()))
    }
}

/// What holds for some models, the closest pattern first: an exact name, then the longest literal text.
#[derive(Debug, Clone, Default)]
pub(crate) struct ByModel<T>(Vec<(ModelPattern, T)>);

impl<T: Copy> ByModel<T> {
    pub(crate) fn new(models: HashMap<ModelPattern, T>) -> Self {
        let mut models: Vec<_> = models.into_iter().collect();
        models.sort_by_key(|(pattern, _)| Reverse((pattern.is_exact(), pattern.literal_len())));
        Self(models)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, model: &str) -> Option<T> {
        let mut models = self.0.iter();
        let found = models.find(|(pattern, _)| pattern.matches(model));
        found.map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_suffix_may_not_overlap() {
        let pattern: ModelPattern = "aba*aba".parse().unwrap();
        assert!(!pattern.matches("aba"));
        assert!(!pattern.matches("ababa"));
        assert_eq!(pattern.capture("abaaba"), Some(""));
    }

    #[test]
    fn a_plain_name_matches_itself_only() {
        let pattern: ModelPattern = "gpt-4.1".parse().unwrap();
        assert!(pattern.matches("gpt-4.1"));
        assert!(!pattern.matches("gpt-4.1-mini"));
        assert!(!pattern.matches("gpt-4"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", " x", "x ", "a*b*c"] {
            assert!(text.parse::<ModelPattern>().is_err(), "{text:?}");
        }
    }
}

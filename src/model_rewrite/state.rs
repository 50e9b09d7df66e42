//! Which model a request is for, by the name that it asks for.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Deserializer, de::Error};

use crate::message::{ConfigError, ModelPattern};

/// A table of aliases.
///
/// An exact name wins over a pattern, and among patterns the one with the longest literal text before its `*`. A target may
/// hold a `*` as well: it takes what the pattern's stood for.
///
/// ```
/// use tower_relay::model_rewrite::Aliases;
///
/// let aliases = Aliases::new([
///     ("gpt-4", "gpt-4.1"),
///     ("claude-3-*", "claude-sonnet-4.5"),
///     ("openai/*", "*"),
/// ])?;
/// assert_eq!(aliases.resolve("gpt-4").as_deref(), Some("gpt-4.1"));
/// assert_eq!(aliases.resolve("claude-3-opus").as_deref(), Some("claude-sonnet-4.5"));
/// assert_eq!(aliases.resolve("openai/gpt-5").as_deref(), Some("gpt-5"));
/// assert_eq!(aliases.resolve("gpt-4-turbo"), None);
/// # Ok::<(), tower_relay::message::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aliases {
    exact: HashMap<String, String>,
    /// The closest first.
    patterns: Vec<(ModelPattern, ModelPattern)>,
}

/// What is done with a model that the table does not name.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// It is passed on as it is.
    #[default]
    Pass,
    /// This model takes its place; also where a request names none.
    Default(String),
    /// The request is refused with 404 `model_not_found` and the list of what is known.
    Reject,
}

/// What becomes of one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision<'a> {
    /// It goes on as it is.
    Pass,
    /// It goes on under this name.
    Rename(Cow<'a, str>),
    /// It names a model that is not known.
    NotFound,
    /// It names none, and one is needed.
    Missing,
}

impl Aliases {
    /// The table of these aliases, each a name or pattern and its target.
    ///
    /// # Errors
    ///
    /// When a name or target is empty, has more than one `*`, or is there twice; or a target has a `*` where its name has
    /// none.
    pub fn new<K, V>(aliases: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut table = Self::default();
        for (name, target) in aliases {
            let (name, target) = (name.as_ref(), target.as_ref());
            table.insert(name, target).map_err(|error| {
                ConfigError::new(name.to_owned(), error.reason().to_owned()).within("aliases")
            })?;
        }
        table
            .patterns
            .sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.literal_len()));
        Ok(table)
    }

    fn insert(&mut self, name: &str, target: &str) -> Result<(), ConfigError> {
        let pattern: ModelPattern = name.parse()?;
        let to: ModelPattern = target.parse()?;
        let is_new = if pattern.is_exact() {
            if !to.is_exact() {
                return Err(ConfigError::new(
                    "model",
                    "the target has a \"*\" and the name has none",
                ));
            }
            self.exact
                .insert(name.to_owned(), target.to_owned())
                .is_none()
        } else {
            let is_new = self.patterns.iter().all(|(other, _)| *other != pattern);
            self.patterns.push((pattern, to));
            is_new
        };
        if is_new {
            Ok(())
        } else {
            Err(ConfigError::new("model", "is there twice"))
        }
    }

    /// The model that `name` stands for; `None` where the table does not name it.
    pub fn resolve(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(target) = self.exact.get(name) {
            return Some(Cow::Borrowed(target));
        }
        self.patterns
            .iter()
            .find_map(|(pattern, target)| Some(target.fill(pattern.capture(name)?)))
    }

    /// The names and patterns of the table, sorted.
    pub fn names(&self) -> Vec<String> {
        self.entries().into_iter().map(|(name, _)| name).collect()
    }

    /// The names and patterns of the table, each with its target, sorted.
    pub fn entries(&self) -> Vec<(String, String)> {
        let exact = self
            .exact
            .iter()
            .map(|(name, target)| (name.clone(), target.clone()));
        let patterns = self
            .patterns
            .iter()
            .map(|(pattern, target)| (pattern.to_string(), target.to_string()));
        let mut entries: Vec<_> = exact.chain(patterns).collect();
        entries.sort_unstable();
        entries
    }

    /// What becomes of a request for `asked`.
    pub(super) fn decide<'a>(&'a self, unknown: &'a Unknown, asked: Option<&str>) -> Decision<'a> {
        let resolved = asked.and_then(|asked| self.resolve(asked));
        match (resolved, unknown, asked) {
            (Some(target), _, Some(asked)) if target == asked => Decision::Pass,
            (Some(target), ..) => Decision::Rename(target),
            (None, Unknown::Pass, _) => Decision::Pass,
            (None, Unknown::Default(model), Some(asked)) if model == asked => Decision::Pass,
            (None, Unknown::Default(model), _) => Decision::Rename(Cow::Borrowed(model)),
            (None, Unknown::Reject, Some(_)) => Decision::NotFound,
            (None, Unknown::Reject, None) => Decision::Missing,
        }
    }
}

impl<'de> Deserialize<'de> for Aliases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = HashMap::<String, String>::deserialize(deserializer)?;
        Self::new(table).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_literal_prefix_wins_whatever_the_order() {
        for aliases in [
            [
                ("*", "any"),
                ("gpt-*", "gpt"),
                ("gpt-4*", "four"),
                ("gpt-4", "exact"),
            ],
            [
                ("gpt-4", "exact"),
                ("gpt-4*", "four"),
                ("gpt-*", "gpt"),
                ("*", "any"),
            ],
        ] {
            let table = Aliases::new(aliases).unwrap();
            for (asked, target) in [
                ("gpt-4", "exact"),
                ("gpt-4o", "four"),
                ("gpt-5", "gpt"),
                ("o3", "any"),
            ] {
                assert_eq!(table.resolve(asked).as_deref(), Some(target), "{asked}");
            }
        }
    }

    #[test]
    fn a_table_that_cannot_work_is_refused() {
        for (aliases, error) in [
            (
                vec![("", "x")],
                "aliases.: \"\" is empty or has white space around it",
            ),
            (
                vec![("a", "b*")],
                "aliases.a: the target has a \"*\" and the name has none",
            ),
            (
                vec![("a*b*", "c")],
                "aliases.a*b*: \"a*b*\" has more than one \"*\"",
            ),
            (vec![("a*", "b"), ("a*", "c")], "aliases.a*: is there twice"),
        ] {
            assert_eq!(Aliases::new(aliases).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn unknown_models_follow_the_policy() {
        let table = Aliases::new([("a", "b")]).unwrap();
        let default = Unknown::Default("d".into());
        for (unknown, asked, decision) in [
            (&Unknown::Pass, Some("a"), Decision::Rename("b".into())),
            (&Unknown::Pass, Some("x"), Decision::Pass),
            (&Unknown::Pass, None, Decision::Pass),
            (&default, Some("x"), Decision::Rename("d".into())),
            (&default, Some("d"), Decision::Pass),
            (&default, None, Decision::Rename("d".into())),
            (&Unknown::Reject, Some("x"), Decision::NotFound),
            (&Unknown::Reject, Some("b"), Decision::NotFound),
            (&Unknown::Reject, None, Decision::Missing),
        ] {
            assert_eq!(
                table.decide(unknown, asked),
                decision,
                "{unknown:?} {asked:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_pattern_that_moves_a_prefix_keeps_the_rest(rest in "[a-z0-9/.-]{0,20}") {
            let table = Aliases::new([("from/*", "to/*")]).unwrap();
            let asked = format!("from/{rest}");
            let resolved = table.resolve(&asked).unwrap().into_owned();
            prop_assert_eq!(resolved, format!("to/{rest}"));
        }
    }
}

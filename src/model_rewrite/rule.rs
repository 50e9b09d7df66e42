//! What is done with the parameters of requests for some models, as it is configured.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    json,
    params::{Rule, Rules},
};
use crate::message::{ConfigError, Endpoint, ModelPattern};

/// What is done with the parameters of requests for some models.
///
/// A parameter is a top-level member of the request, other than `model`. The steps are taken in the order of the methods
/// below, whatever order they are written in; where a rule drops what it also sets, ours is what is sent.
///
/// ```
/// use tower_relay::model_rewrite::{ModelRewriteLayer, ParamRule};
///
/// let rewrite = ModelRewriteLayer::builder()
///     .rule(
///         ParamRule::new(["o3*", "gpt-5*"])
///             .rename("max_tokens", "max_completion_tokens")
///             .drop(["temperature", "top_p"]),
///     )
///     .rule(ParamRule::new(["mistral-*"]).reject(["logit_bias"]).drop(["stream_options"]))
///     .build()?;
/// # Ok::<(), tower_relay::message::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ParamRule {
    models: Vec<String>,
    endpoints: Option<Vec<Endpoint>>,
    rename: BTreeMap<String, String>,
    reject: Vec<String>,
    drop: Vec<String>,
    #[serde(deserialize_with = "json::values")]
    set: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "json::values")]
    default: BTreeMap<String, serde_json::Value>,
    max_output_tokens: Option<u64>,
}

impl ParamRule {
    /// A rule for these models, by the names that they have after the aliases: names, or patterns with one `*`. Requests
    /// that name no model are those of `*` alone.
    pub fn new<T: Into<String>>(models: impl IntoIterator<Item = T>) -> Self {
        Self {
            models: models.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// At these endpoints only: all by default.
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints = Some(endpoints.into_iter().collect());
        self
    }

    /// Gives the parameter `from` the name `to`. When both are there `to` wins, unless it is `null`, and `from` is dropped; of
    /// several parameters that get one name, the first by the alphabet.
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.rename.insert(from.into(), to.into());
        self
    }

    /// Refuses requests with one of these parameters, unless it is `null`: names, or patterns with one `*`.
    pub fn reject<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.reject.extend(names.into_iter().map(Into::into));
        self
    }

    /// Removes these parameters: names, or patterns with one `*`.
    pub fn drop<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.drop.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets a parameter, whatever the caller says of it.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.set.insert(name.into(), value.into());
        self
    }

    /// Sets a parameter where the caller says nothing of it, or `null`.
    pub fn default_value(
        mut self,
        name: impl Into<String>,
        value: impl Into<serde_json::Value>,
    ) -> Self {
        self.default.insert(name.into(), value.into());
        self
    }

    /// The most tokens of answer that may be asked for, in place of what the catalog knows. A request that asks for more is
    /// sent with this.
    pub fn max_output_tokens(mut self, tokens: u64) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// The rule as it is applied.
    fn compile(self) -> Result<Rule, ConfigError> {
        if self.models.is_empty() {
            return Err(ConfigError::new(
                "models",
                "must name the models that it is for, or \"*\"",
            ));
        }
        if self.max_output_tokens == Some(0) {
            return Err(ConfigError::new("max_output_tokens", "must be at least 1"));
        }
        for (from, to) in &self.rename {
            check_name("rename", from)?;
            check_name("rename", to)?;
            if self.rename.contains_key(to) {
                return Err(ConfigError::new(
                    "rename",
                    format!("{to:?} is renamed itself"),
                ));
            }
        }
        for name in self.set.keys() {
            check_name("set", name)?;
        }
        for name in self.default.keys() {
            check_name("default", name)?;
            if self.set.contains_key(name) {
                return Err(ConfigError::new(
                    "default",
                    format!("{name:?} is always set, so it has no default"),
                ));
            }
        }
        let rule = Rule {
            models: patterns("models", &self.models)?,
            endpoints: self.endpoints,
            rename: self.rename.into_iter().collect(),
            reject: params("reject", &self.reject)?,
            drop: params("drop", &self.drop)?,
            set: values("set", &self.set)?,
            default: values("default", &self.default)?,
            max_output_tokens: self.max_output_tokens,
        };
        if let Some(both) = rule.reject.iter().find(|name| rule.drop.contains(name)) {
            let reason = format!("\"{both}\" is rejected already");
            return Err(ConfigError::new("drop", reason));
        }
        if rule.does_nothing() {
            return Err(ConfigError::new(
                "models",
                "are those of a rule that does nothing",
            ));
        }
        Ok(rule)
    }
}

/// The rules as they are applied.
pub(super) fn compile(rules: Vec<ParamRule>) -> Result<Rules, ConfigError> {
    let compiled = rules.into_iter().enumerate().map(|(at, rule)| {
        rule.compile()
            .map_err(|error| error.within(&at.to_string()).within("rules"))
    });
    Ok(Rules(compiled.collect::<Result<_, _>>()?))
}

fn patterns(field: &'static str, texts: &[String]) -> Result<Vec<ModelPattern>, ConfigError> {
    let parse = |text: &String| text.parse::<ModelPattern>();
    texts
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(|error| ConfigError::new(field, error.reason().to_owned()))
}

fn params(field: &'static str, names: &[String]) -> Result<Vec<ModelPattern>, ConfigError> {
    for name in names {
        check_name(field, name)?;
    }
    patterns(field, names)
}

fn check_name(field: &'static str, name: &str) -> Result<(), ConfigError> {
    match name {
        "" => Err(ConfigError::new(field, "a parameter has no name")),
        "model" => Err(ConfigError::new(
            field,
            "\"model\" is the business of the aliases",
        )),
        _ => Ok(()),
    }
}

fn values(
    field: &'static str,
    values: &BTreeMap<String, serde_json::Value>,
) -> Result<Vec<(String, Box<RawValue>)>, ConfigError> {
    let raw = |(name, value): (&String, &serde_json::Value)| {
        let text = serde_json::value::to_raw_value(value)
            .map_err(|error| ConfigError::new(field, format!("{name:?}: {error}")))?;
        Ok((name.clone(), text))
    };
    values.iter().map(raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(rule: ParamRule) -> String {
        compile(vec![ParamRule::new(["m"]).drop(["x"]), rule])
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_rule_that_cannot_work_says_which_and_why() {
        let rule = || ParamRule::new(["m"]);
        let none: [&str; 0] = [];
        for (rule, expected) in [
            (
                ParamRule::new(none),
                "rules.1.models: must name the models that it is for, or \"*\"",
            ),
            (
                ParamRule::new(["a*b*"]),
                "rules.1.models: \"a*b*\" has more than one \"*\"",
            ),
            (
                rule(),
                "rules.1.models: are those of a rule that does nothing",
            ),
            (
                rule().max_output_tokens(0),
                "rules.1.max_output_tokens: must be at least 1",
            ),
            (
                rule().rename("a", "b").rename("b", "c"),
                "rules.1.rename: \"b\" is renamed itself",
            ),
            (
                rule().rename("a", "a"),
                "rules.1.rename: \"a\" is renamed itself",
            ),
            (
                rule().rename("a", ""),
                "rules.1.rename: a parameter has no name",
            ),
            (
                rule().drop(["model"]),
                "rules.1.drop: \"model\" is the business of the aliases",
            ),
            (
                rule().set("a", 1).default_value("a", 2),
                "rules.1.default: \"a\" is always set, so it has no default",
            ),
            (
                rule().reject(["a"]).drop(["a"]),
                "rules.1.drop: \"a\" is rejected already",
            ),
            (
                rule().drop([" a"]),
                "rules.1.drop: \" a\" is empty or has white space around it",
            ),
        ] {
            assert_eq!(error(rule), expected);
        }
    }

    #[test]
    fn a_configuration_reads_to_the_rule_that_code_makes() {
        let read: ParamRule = serde_json::from_str(
            r#"{"models":["o3*"],"endpoints":["chat_completions"],"rename":{"max_tokens":"max_completion_tokens"},
                "reject":["logit_bias"],"drop":["temperature"],"set":{"store":false},"default":{"stop":["a"]},
                "max_output_tokens":100}"#,
        )
        .unwrap();
        let made = ParamRule::new(["o3*"])
            .endpoints([Endpoint::ChatCompletions])
            .rename("max_tokens", "max_completion_tokens")
            .reject(["logit_bias"])
            .drop(["temperature"])
            .set("store", false)
            .default_value("stop", serde_json::json!(["a"]))
            .max_output_tokens(100);
        assert_eq!(read, made);
        serde_json::from_str::<ParamRule>(r#"{"model":["o3*"]}"#).unwrap_err();
    }
}

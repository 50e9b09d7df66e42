use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ControlError;

/// What an action is to be done with: the members of a JSON object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters(Map<String, Value>);

impl Parameters {
    /// Reads a JSON object; nothing at all is an empty one.
    ///
    /// # Errors
    ///
    /// When it is anything else.
    pub fn parse(json: &[u8]) -> Result<Self, ControlError> {
        if json.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let object = serde_json::from_slice(json);
        object.map(Self).map_err(|error| {
            ControlError::Invalid(format!("the body is not a JSON object: {error}"))
        })
    }

    /// The parameters as `T`, which should refuse what it does not know.
    ///
    /// # Errors
    ///
    /// When one is missing, unknown or of another type: which, and why.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, ControlError> {
        let read = |members| serde_json::from_value::<T>(Value::Object(members));
        let error = match read(self.0.clone()) {
            Ok(parameters) => return Ok(parameters),
            Err(error) => error,
        };
        // What is of another type is so without the others, which serde does not say. What is missing or unknown is named.
        let reason = error.to_string();
        let is_reason = |members: Map<_, _>| {
            let error = read(members).err();
            error.is_some_and(|error| error.to_string() == reason)
        };
        let wrong = self.0.into_iter().find_map(|(name, value)| {
            let is_named = reason.contains(&format!("`{name}`"));
            let alone = Map::from_iter([(name.clone(), value)]);
            (!is_named && is_reason(alone)).then_some(name)
        });
        let wrong = wrong.filter(|_| !is_reason(Map::new()));
        Err(ControlError::Invalid(match wrong {
            Some(name) => format!("`{name}`: {reason}"),
            None => reason,
        }))
    }

    /// For an action that takes none.
    ///
    /// # Errors
    ///
    /// When there are any.
    pub fn none(self) -> Result<(), ControlError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(ControlError::Invalid(format!(
                "unknown field `{name}`, there are none for this"
            ))),
        }
    }
}

impl FromIterator<(String, Value)> for Parameters {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(members: T) -> Self {
        Self(members.into_iter().collect())
    }
}

impl From<Parameters> for Value {
    fn from(parameters: Parameters) -> Self {
        Self::Object(parameters.0)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Force {
        target: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is never read well")]
    struct Limit {
        key: String,
        tokens: u64,
        #[serde(deserialize_with = "crate::wire::units::duration")]
        per: std::time::Duration,
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let read = |json: &str| Parameters::parse(json.as_bytes())?.read::<Force>();
        assert_eq!(read(" ").unwrap(), Force { target: None });
        for (json, reason) in [
            ("[]", "not a JSON object"),
            ("{", "not a JSON object"),
            (r#"{"targets":"a"}"#, "unknown field `targets`"),
            (
                r#"{"target":1}"#,
                "`target`: invalid type: integer `1`, expected a string",
            ),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let read = |json: &str| Parameters::parse(json.as_bytes())?.read::<Limit>();
        for (json, reason) in [
            (r#"{"tokens":1,"key":"a"}"#, "missing field `per`"),
            (
                r#"{"key":"a","tokens":1.5,"per":"1s"}"#,
                "`tokens`: invalid",
            ),
            (r#"{"key":"a","tokens":1,"per":"soon"}"#, "`per`: "),
            (r#"{"tokens":1,"kay":"a"}"#, "unknown field `kay`"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
        let some = Parameters::parse(br#"{"a":1}"#).unwrap();
        assert!(some.none().unwrap_err().to_string().contains("`a`"));
    }
}

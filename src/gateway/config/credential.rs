use std::{fmt, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

use crate::{
    client::{Credential, CredentialFile},
    message::ConfigError,
    worker::Worker,
};

/// Where an upstream's key comes from. Never the key itself: a configuration is read by more people than may know it.
///
/// Deserializes from `{ env = "NAME" }`, `{ file = "PATH" }`, `{ caller = true }` or `"none"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialConfig {
    /// None is sent.
    #[default]
    None,
    /// The environment variable of this name, read once at the start.
    Env(String),
    /// The file at this path, read again when it changes.
    File(PathBuf),
    /// The caller's own key; who brings none is answered 401.
    Caller,
    /// Whatever the caller has presented, in the same header, or nothing: where a gateway [only looks](super::Config::observing). No file says
    /// so.
    AsPresented,
}

impl CredentialConfig {
    /// The credential, and what keeps it current.
    pub(crate) fn build(
        &self,
        prefix: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Credential, Option<Worker>), ConfigError> {
        match self {
            Self::None | Self::Caller | Self::AsPresented if !prefix.is_empty() => {
                Err(ConfigError::new(
                    "required_prefix",
                    "needs a key of the relay's own to look at",
                ))
            }
            Self::None => Ok((Credential::none(), None)),
            Self::Caller => Ok((Credential::caller(), None)),
            Self::AsPresented => Ok((Credential::as_presented(), None)),
            Self::Env(name) => {
                let fail = |reason: String| ConfigError::new("credential.env", reason);
                if !is_variable(name) {
                    return Err(fail(
                        "must be the name of an environment variable, not a key".to_owned(),
                    ));
                }
                let key = env(name)
                    .ok_or_else(|| fail(format!("the environment variable {name} is not set")))?;
                let credential = Credential::key_with_prefix(&key, prefix).map_err(|error| {
                    fail(format!(
                        "the environment variable {name}: {}",
                        error.reason()
                    ))
                })?;
                Ok((credential.named(name.as_str()), None))
            }
            Self::File(path) => {
                let (credential, worker) = CredentialFile::new(path)
                    .required_prefix(prefix)
                    .build()
                    .map_err(|error| {
                        ConfigError::new("credential.file", error.reason().to_owned())
                    })?;
                Ok((credential.named(path.display().to_string()), Some(worker)))
            }
        }
    }
}

/// Whether `name` can name a variable. What cannot is likely a key, and is not shown.
fn is_variable(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty()
        && name.bytes().all(is_part)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

impl<'de> Deserialize<'de> for CredentialConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Field {
            Env,
            File,
            Caller,
        }

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = CredentialConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "{ env = \"NAME\" }, { file = \"PATH\" }, { caller = true } or \"none\"",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CredentialConfig, E> {
                match text {
                    "none" => Ok(CredentialConfig::None),
                    // It may be a key, so it is not shown.
                    _ => Err(E::custom(format_args!(
                        "expected {}",
                        &self as &dyn de::Expected
                    ))),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<CredentialConfig, A::Error> {
                let expected = || {
                    de::Error::custom(format_args!("expected {}", &Visitor as &dyn de::Expected))
                };
                let credential = match map.next_key()?.ok_or_else(expected)? {
                    Field::Env => CredentialConfig::Env(map.next_value()?),
                    Field::File => CredentialConfig::File(map.next_value()?),
                    Field::Caller if map.next_value::<bool>()? => CredentialConfig::Caller,
                    Field::Caller => {
                        return Err(de::Error::custom("\"caller\" is true or not there"));
                    }
                };
                match map.next_key::<Field>()? {
                    None => Ok(credential),
                    Some(_) => Err(de::Error::custom(
                        "a credential has one source: env, file or caller",
                    )),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

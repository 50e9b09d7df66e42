use std::fmt;

use crate::message::ConfigError;

/// A configuration that cannot work: file, line, field and reason. Never shows a secret.
///
/// ```
/// use tower_relay::gateway::Config;
///
/// let error = Config::from_toml("listen = \"here\"", "gateway.toml").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "gateway.toml:1: listen: invalid socket address syntax: write an address and a port, as in \"127.0.0.1:8080\"",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig {
    file: Option<String>,
    line: Option<usize>,
    field: String,
    reason: String,
}

impl InvalidConfig {
    pub(super) fn new(error: &ConfigError) -> Self {
        Self {
            file: None,
            line: None,
            field: error.field().to_owned(),
            reason: error.reason().to_owned(),
        }
    }

    pub(super) fn unread(file: &str, reason: &str) -> Self {
        Self {
            file: Some(file.to_owned()),
            line: None,
            field: String::new(),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn at(file: &str, line: usize, field: String, reason: String) -> Self {
        Self {
            file: Some(file.to_owned()),
            line: Some(line),
            field,
            reason,
        }
    }

    /// The file, by the name that it was read under; `None` for a configuration put together in code.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The field, as a path: `upstreams.0.base_url`. Empty where the file as a whole is meant.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for InvalidConfig {}

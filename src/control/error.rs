use http::StatusCode;

use crate::message::{ApiError, ConfigError};

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It, or what it was asked for, is not there.
    #[error("there is no {0}")]
    Unknown(String),
    /// A parameter cannot be.
    #[error("{0}")]
    Invalid(String),
    /// Something else decides it now.
    #[error("{0}")]
    Conflict(String),
    /// It could not be done now.
    #[error("{0}")]
    Failed(String),
}

impl ControlError {
    /// The action is none that `kind` has.
    pub fn unknown_action(action: &str, actions: &[&str]) -> Self {
        let known = if actions.is_empty() {
            "nothing".to_owned()
        } else {
            actions.join(", ")
        };
        Self::Unknown(format!("action {action:?}, but {known}"))
    }

    /// What a client of the admin API is told.
    pub fn to_api_error(&self) -> ApiError {
        let (status, code) = match self {
            Self::Unknown(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not_changed"),
        };
        let kind = match self {
            Self::Failed(_) => "server_error",
            _ => "invalid_request_error",
        };
        ApiError::new(status, kind, self.to_string()).with_code(code)
    }
}

impl From<ConfigError> for ControlError {
    fn from(error: ConfigError) -> Self {
        Self::Invalid(error.to_string())
    }
}

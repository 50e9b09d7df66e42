//! Why a body broke.

use std::{error::Error, fmt};

use super::BoxError;

/// What broke a [`RequestBody`](super::RequestBody) or [`ResponseBody`](super::ResponseBody); the cause is its
/// [`source`](Error::source).
pub struct BodyError(BoxError);

impl BodyError {
    /// Broken by `cause`.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }

    /// The cause itself.
    pub fn into_inner(self) -> BoxError {
        self.0
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke")
    }
}

impl fmt::Debug for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyError").field(&self.0).finish()
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

//! Which target a request was given to.

use std::sync::Arc;

/// The name of the [`Target`](crate::client::Target) that a request was given to. Stands in the request's extensions within that
/// target's stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chosen(pub Arc<str>);

impl Chosen {
    /// The target's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

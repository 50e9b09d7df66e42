//! Which upstreams a request may be sent to.

use std::sync::Arc;

/// The only upstreams that a request may be sent to, by the names of their [`Target`](crate::client::Target)s. Stands in the request's
/// extensions, where whoever asks is bound to some: by where their data may go, for one.
///
/// Whatever chooses an upstream looks for it there, and a target refuses what may not be sent to it, so that nothing is for want of
/// looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedUpstreams(Arc<[Box<str>]>);

impl AllowedUpstreams {
    /// These upstreams and no others.
    pub fn new<T: Into<Box<str>>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|allowed| **allowed == *name)
    }

    /// Their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

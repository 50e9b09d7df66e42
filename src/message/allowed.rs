//! Which upstreams a request may be sent to, and which models it may be for.

use std::sync::Arc;

use super::ModelPattern;

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

/// The only models that a request may be for, by the names that callers use. Stands in the request's extensions, where whoever asks may not
/// ask for all.
///
/// What a request names was looked at before; whatever puts another model in its place looks here, unless that is what the name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedModels(Arc<[ModelPattern]>);

impl AllowedModels {
    /// These models and no others.
    pub fn new(models: impl IntoIterator<Item = ModelPattern>) -> Self {
        Self(models.into_iter().collect())
    }

    /// Whether `model` is one of them.
    pub fn contains(&self, model: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(model))
    }

    /// Their names.
    pub fn patterns(&self) -> &[ModelPattern] {
        &self.0
    }
}

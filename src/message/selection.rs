//! Which model was chosen for a request, and why.

use std::sync::Arc;

/// The model that a layer chose for a request that left the choice to it. Stands in the request's extensions further in, and in those
/// of its answer; the complexity goes into the ledger.
///
/// ```
/// use tower_relay::message::Selection;
///
/// let selection = Selection::new("gpt-4.1", "high").because("more than 5,000 characters");
/// assert_eq!((&*selection.model, &*selection.complexity), ("gpt-4.1", "high"));
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The model, by the name under which it was asked for further in.
    pub model: Arc<str>,
    /// How complex the request was found to be: a level such as `high`, or points from 1 to 100.
    pub complexity: Arc<str>,
    /// What spoke for that, in words; nothing of what the request says.
    pub reason: Arc<str>,
}

impl Selection {
    /// `model`, for a request of this `complexity`.
    pub fn new(model: impl Into<Arc<str>>, complexity: impl Into<Arc<str>>) -> Self {
        Self {
            model: model.into(),
            complexity: complexity.into(),
            reason: "".into(),
        }
    }

    /// The same for this `reason`.
    #[must_use]
    pub fn because(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.reason = reason.into();
        self
    }
}

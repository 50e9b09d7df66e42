//! Counting what is repaired.

use std::sync::Arc;

use tracing::Span;

use super::{layer::Shared, repairs::Repairs};

/// Counts the repairs of one answer, each once, and shows them in the span of its request.
pub(super) struct Tally {
    shared: Arc<Shared>,
    span: Span,
    counted: Repairs,
}

impl Tally {
    /// For the answer of a request whose span is the current one.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            span: Span::current(),
            counted: Repairs::default(),
        }
    }

    pub(super) fn count(&mut self, repairs: Repairs) {
        let new = repairs.without(self.counted);
        if new.is_empty() {
            return;
        }
        self.shared.count(new);
        self.counted.merge(new);
        self.span
            .record("relay.repairs", tracing::field::display(self.counted));
    }
}

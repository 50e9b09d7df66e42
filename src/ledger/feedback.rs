//! What somebody thought of an answer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A score of one answer, given after the fact: by a user, a reviewer, or a program that knows what should have been said.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// The request.
    pub request_id: Box<str>,
    /// Who answered it.
    pub upstream: Arc<str>,
    /// From 0 (useless) to 1 (as good as can be).
    pub score: f64,
}

impl Feedback {
    /// A score for what `upstream` answered; below 0 is taken as 0, and above 1 as 1.
    pub fn new(request_id: impl Into<Box<str>>, upstream: impl Into<Arc<str>>, score: f64) -> Self {
        Self {
            request_id: request_id.into(),
            upstream: upstream.into(),
            score: score.clamp(0.0, 1.0),
        }
    }
}

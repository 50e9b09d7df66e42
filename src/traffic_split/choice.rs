use std::{fmt, sync::Arc};

use super::rollout::Track;

/// Where a split sent a request, and why. Stands in the extensions of the request within the target's stack, and of its answer.
#[non_exhaustive]
#[derive(Clone)]
pub struct SplitChoice {
    /// The target's name.
    pub target: Arc<str>,
    /// Why it is that one.
    pub reason: SplitReason,
    /// Who judges the target by what becomes of the request's attempts.
    pub(super) track: Option<Arc<Track>>,
}

/// Why a split sent a request where it did.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SplitReason {
    /// By its key and the weights.
    Weight,
    /// By its key and the weights, as the target that it would have had takes no requests.
    Spread,
    /// All go there for now.
    Forced,
    /// The caller asked for it.
    Asked,
    /// It may do more than generate an answer, and so stays with the baseline.
    Stateful,
    /// It is not [eligible](super::TrafficSplitBuilder::eligible), and so stays with the baseline.
    NotEligible,
}

impl SplitReason {
    /// As a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Spread => "spread",
            Self::Forced => "forced",
            Self::Asked => "asked",
            Self::Stateful => "stateful",
            Self::NotEligible => "not_eligible",
        }
    }
}

impl fmt::Debug for SplitChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitChoice")
            .field("target", &self.target)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

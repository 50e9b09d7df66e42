//! How long a request may take as a whole.

use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

/// The moment by which a request must have been answered in full, all attempts together.
///
/// Stands in a request's extensions. [`EdgeLayer`](crate::server::EdgeLayer) sets and enforces it; layers that wait or try
/// again stay within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `within` from now. A span too long for the clock is taken as thirty years.
    pub fn after(within: Duration) -> Self {
        const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        let now = Instant::now();
        Self(now.checked_add(within.min(THIRTY_YEARS)).unwrap_or(now))
    }

    /// The deadline among a request's extensions.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left: zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The earlier of the two.
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_shrinks_and_stops_at_zero() {
        let deadline = Deadline::after(Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(deadline.remaining(), Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_span_does_not_overflow() {
        assert!(Deadline::after(Duration::MAX).remaining() > Duration::from_secs(3600));
    }
}

//! The wall clock, read in one place.
//!
//! Everything that measures or waits uses [`tokio::time::Instant`], which tests can pause. The wall clock is only for what
//! other parties state in calendar time: dates in headers, calendar windows, timestamps.

use std::time::SystemTime;

/// The current wall-clock time.
#[allow(clippy::disallowed_methods, reason = "the one place that may read it")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

//! Days of the calendar.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

use crate::wire::rfc3339;

/// A day in UTC. Shown as `2026-11-21`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u64);

impl Day {
    const SECONDS: u64 = 86_400;

    /// The day of this moment.
    pub fn of(moment: SystemTime) -> Self {
        let since_epoch = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since_epoch.as_secs() / Self::SECONDS)
    }

    /// Its first moment.
    pub fn start(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.saturating_mul(Self::SECONDS))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = rfc3339::format(self.start());
        f.write_str(moment.split('T').next().unwrap_or_default())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let noon = UNIX_EPOCH + Duration::from_secs(1_742_040_000);
        let day = Day::of(noon);
        assert_eq!(day.to_string(), "2025-03-15");
        assert_eq!(Day::of(day.start()), day);
        assert!(Day::of(day.start() - Duration::from_secs(1)) < day);
    }
}

//! Windows of the calendar.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;

use crate::wire::rfc3339::{civil_from_days, days_since_epoch};

const DAY: i64 = 86_400;
/// The end of the year 9999, in seconds since the epoch.
const LAST: u64 = 253_402_300_799;

/// How often a budget is renewed.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// At midnight.
    Day,
    /// At the midnight that begins a Monday.
    Week,
    /// At the midnight that begins the first of a month.
    Month,
    /// Never.
    Total,
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "per day",
            Self::Week => "per week",
            Self::Month => "per month",
            Self::Total => "in total",
        })
    }
}

/// Windows that follow each other without a gap, numbered in their order.
#[derive(Debug, Clone, PartialEq, Copy)]
pub(super) struct Calendar {
    per: Per,
    /// How far the clock that tells midnight is ahead of UTC, in seconds.
    ahead: i64,
}

impl Calendar {
    pub(super) fn new(per: Per, minutes_ahead: i16) -> Self {
        Self {
            per,
            ahead: i64::from(minutes_ahead) * 60,
        }
    }

    /// The window of this moment.
    pub(super) fn window(self, moment: SystemTime) -> i64 {
        let since_epoch = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since_epoch.as_secs().min(LAST)).unwrap_or(0);
        let day = (seconds + self.ahead).div_euclid(DAY);
        match self.per {
            Per::Day => day,
            // The epoch was a Thursday.
            Per::Week => (day + 3).div_euclid(7),
            Per::Month => {
                let (year, month, _) = civil_from_days(u64::try_from(day).unwrap_or(0));
                let months = i64::try_from(year * 12 + month).unwrap_or(0);
                months - 1
            }
            Per::Total => 0,
        }
    }

    /// A name of a window that no other one has, of whatever length.
    pub(super) fn name(self, window: i64) -> String {
        match self.per {
            Per::Day => format!("day {window}"),
            Per::Week => format!("week {window}"),
            Per::Month => format!("month {window}"),
            Per::Total => "total".to_owned(),
        }
    }

    /// The first moment of a window; `None` where there is only one.
    pub(super) fn start(self, window: i64) -> Option<SystemTime> {
        let day = match self.per {
            Per::Day => window,
            Per::Week => window.saturating_mul(7).saturating_sub(3),
            Per::Month => days_since_epoch(window.div_euclid(12), window.rem_euclid(12) + 1, 1),
            Per::Total => return None,
        };
        let seconds = day.saturating_mul(DAY).saturating_sub(self.ahead);
        // A window that began before the epoch is as old as can be.
        let seconds = u64::try_from(seconds).unwrap_or(0);
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::rfc3339;

    fn at(text: &str) -> SystemTime {
        rfc3339::parse(text).unwrap()
    }

    fn begins(per: Per, ahead: i16, moment: &str) -> String {
        let calendar = Calendar::new(per, ahead);
        rfc3339::format(calendar.start(calendar.window(at(moment))).unwrap())
    }

    #[test]
    fn windows_begin_at_midnight_on_mondays_and_on_the_first() {
        for (per, moment, start) in [
            (Per::Day, "2026-11-21T23:59:59Z", "2026-11-21T00:00:00.000Z"),
            (
                Per::Week,
                "2026-11-22T23:59:59Z",
                "2026-11-16T00:00:00.000Z",
            ),
            (
                Per::Week,
                "2026-11-23T00:00:00Z",
                "2026-11-23T00:00:00.000Z",
            ),
            (
                Per::Month,
                "2028-02-29T12:00:00Z",
                "2028-02-01T00:00:00.000Z",
            ),
            (
                Per::Month,
                "2026-12-31T23:59:59Z",
                "2026-12-01T00:00:00.000Z",
            ),
            (
                Per::Month,
                "2027-01-01T00:00:00Z",
                "2027-01-01T00:00:00.000Z",
            ),
        ] {
            assert_eq!(begins(per, 0, moment), start, "{per:?} {moment}");
        }
    }

    #[test]
    fn midnight_is_that_of_the_offset() {
        // Berlin in winter, and New York.
        assert_eq!(
            begins(Per::Day, 60, "2026-11-21T23:30:00Z"),
            "2026-11-21T23:00:00.000Z"
        );
        assert_eq!(
            begins(Per::Month, -300, "2026-12-01T04:59:59Z"),
            "2026-11-01T05:00:00.000Z"
        );
    }

    #[test]
    fn what_never_ends_has_no_start() {
        let total = Calendar::new(Per::Total, 0);
        assert_eq!(total.start(total.window(at("2026-11-21T00:00:00Z"))), None);
    }

    proptest! {
        #[test]
        fn a_moment_is_in_its_window_and_windows_meet(seconds in 400_000u64..LAST - 4_000_000, ahead in -720i16..840) {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            for per in [Per::Day, Per::Week, Per::Month] {
                let calendar = Calendar::new(per, ahead);
                let window = calendar.window(moment);
                let (start, end) = (calendar.start(window).unwrap(), calendar.start(window + 1).unwrap());
                prop_assert!(start <= moment && moment < end);
                prop_assert_eq!(calendar.window(end), window + 1);
                prop_assert_eq!(calendar.window(end - Duration::from_secs(1)), window);
            }
        }
    }
}

//! Hours at which a model costs less.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Rates;

/// Rates that replace the ordinary ones at certain hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffPeak {
    /// When; any of them is enough.
    pub windows: Vec<Window>,
    /// The rates at those hours; unknown ones are the ordinary ones.
    pub rates: Rates,
}

/// Hours of a day, in UTC, on some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Minutes after midnight, 0 to 1439, inclusive.
    start: u16,
    /// Exclusive; not after `start` where the window goes on past midnight.
    end: u16,
    /// Bit 0 is Monday.
    weekdays: u8,
    /// How far east of Greenwich the weekdays are reckoned, in minutes.
    weekday_offset: i16,
}

const DAY: u64 = 24 * 60;
const EVERY_DAY: u8 = 0b0111_1111;

impl OffPeak {
    /// Whether `at` is in one of the windows.
    pub fn contains(&self, at: SystemTime) -> bool {
        self.windows.iter().any(|window| window.contains(at))
    }
}

impl Window {
    /// The hours `HH:MM-HH:MM` in UTC of every day, the first minute included, the last not. An end at or before the start
    /// is on the next day. `None` where it is written otherwise.
    pub fn daily(hours: &str) -> Option<Self> {
        let (start, end) = hours.split_once('-')?;
        let (start, end) = (minutes(start)?, minutes(end)?);
        Some(Self {
            start,
            end,
            weekdays: EVERY_DAY,
            weekday_offset: 0,
        })
    }

    /// On these days only: 1 is Monday, 7 is Sunday. The day is that of the moment itself, also in a window that began the
    /// day before. `None` for other numbers.
    #[must_use]
    pub fn on(mut self, weekdays: &[u8]) -> Option<Self> {
        self.weekdays = 0;
        for day in weekdays {
            if !(1..=7).contains(day) {
                return None;
            }
            self.weekdays |= 1 << (day - 1);
        }
        Some(self)
    }

    /// With weekdays as they are so many minutes east of Greenwich. The hours stay UTC. Taken within a day.
    #[must_use]
    pub fn weekdays_east(mut self, minutes: i16) -> Self {
        self.weekday_offset = minutes.clamp(-1440, 1440);
        self
    }

    /// Whether `at` is within. Moments before 1970 are in none.
    pub fn contains(&self, at: SystemTime) -> bool {
        let Ok(since) = at.duration_since(UNIX_EPOCH) else {
            return false;
        };
        let minute = since.as_secs() / 60;
        let time = minute % DAY;
        let (start, end) = (u64::from(self.start), u64::from(self.end));
        let in_hours = if start < end {
            start <= time && time < end
        } else {
            start <= time || time < end
        };
        // 1 January 1970 was a Thursday.
        let local_day = minute.saturating_add_signed(self.weekday_offset.into()) / DAY;
        in_hours && self.weekdays & (1 << ((local_day + 3) % 7)) != 0
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// `day` days and `time` hours and minutes after Monday, 5 January 1970.
    fn at(day: u64, hour: u64, minute: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs((((4 + day) * 24 + hour) * 60 + minute) * 60)
    }

    #[test]
    fn a_window_has_its_first_minute_and_not_its_last() {
        let window = Window::daily("16:30-20:00").unwrap();
        assert!(!window.contains(at(0, 16, 29)));
        assert!(window.contains(at(0, 16, 30)));
        assert!(window.contains(at(3, 19, 59)));
        assert!(!window.contains(at(0, 20, 0)));
    }

    #[test]
    fn a_window_may_pass_midnight_or_last_all_day() {
        let night = Window::daily("16:30-00:30").unwrap();
        assert!(night.contains(at(0, 23, 59)) && night.contains(at(1, 0, 29)));
        assert!(!night.contains(at(1, 0, 30)));
        let all_day = Window::daily("00:00-00:00").unwrap();
        assert!(all_day.contains(at(0, 0, 0)) && all_day.contains(at(0, 23, 59)));
    }

    #[test]
    fn weekdays_are_reckoned_where_they_are_said_to_be() {
        let weekend = Window::daily("00:00-00:00").unwrap().on(&[6, 7]).unwrap();
        assert!(!weekend.contains(at(4, 23, 59)));
        assert!(weekend.contains(at(5, 0, 0)) && weekend.contains(at(6, 23, 59)));
        assert!(!weekend.contains(at(7, 0, 0)));
        // Saturday begins in Shanghai when it is Friday, 16:00, in Greenwich.
        let in_shanghai = weekend.weekdays_east(480);
        assert!(!in_shanghai.contains(at(4, 15, 59)));
        assert!(in_shanghai.contains(at(4, 16, 0)));
        assert!(!in_shanghai.contains(at(6, 16, 0)));
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        for text in [
            "",
            "10:00",
            "24:00-01:00",
            "10:60-11:00",
            "1:00-2:00",
            "10-11",
            "+1:00-02:00",
            "10:00-11:00-12:00",
        ] {
            assert_eq!(Window::daily(text), None, "{text}");
        }
        assert_eq!(Window::daily("00:00-01:00").unwrap().on(&[0]), None);
        assert_eq!(Window::daily("00:00-01:00").unwrap().on(&[8]), None);
        assert!(
            !Window::daily("00:00-00:00")
                .unwrap()
                .contains(UNIX_EPOCH - Duration::from_secs(1))
        );
    }
}

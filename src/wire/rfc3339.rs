//! Timestamps of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6), as in `2025-03-15T08:58:28Z`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: i64 = 86_400;

/// The moment that `text` names. Fractions beyond a nanosecond are cut off; a leap second is the second after it.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let mut text = Reader(text.trim().as_bytes());
    let year = text.digits(4)?;
    text.one_of(b"-")?;
    let month = text.digits(2)?;
    text.one_of(b"-")?;
    let day = text.digits(2)?;
    text.one_of(b"Tt ")?;
    let hour = text.digits(2)?;
    text.one_of(b":")?;
    let minute = text.digits(2)?;
    text.one_of(b":")?;
    let second = text.digits(2)?;
    let nanos = if text.one_of(b".").is_some() {
        text.fraction()?
    } else {
        0
    };
    let offset = match text.one_of(b"Zz+-")? {
        sign @ (b'+' | b'-') => {
            let hours = text.digits(2)?;
            text.one_of(b":")?;
            let minutes = text.digits(2)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3_600 + minutes * 60;
            if sign == b'-' { -offset } else { offset }
        }
        _ => 0,
    };
    let valid = (1..=days_in_month(year, month)?).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid || !text.0.is_empty() {
        return None;
    }

    let seconds =
        days_since_epoch(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second
            - offset;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    moment?.checked_add(Duration::from_nanos(nanos))
}

/// `moment` in UTC, to the millisecond: `2025-03-15T08:58:28.250Z`. Before the year 0 or after 9999 it is the nearest that can be
/// written.
pub(crate) fn format(moment: SystemTime) -> String {
    const LAST: u64 = 253_402_300_799;
    let since_epoch = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs().min(LAST);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        since_epoch.subsec_millis()
    )
}

/// Howard Hinnant's [`civil_from_days`](https://howardhinnant.github.io/date_algorithms.html#civil_from_days), for days since the
/// epoch.
pub(crate) fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn days_in_month(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Howard Hinnant's [`days_from_civil`](https://howardhinnant.github.io/date_algorithms.html#days_from_civil): years begin in
/// March, so that the leap day is a year's last.
pub(crate) fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if !allowed.contains(first) {
            return None;
        }
        self.0 = rest;
        Some(*first)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        (0..count).try_fold(0, |number, _| {
            Some(number * 10 + i64::from(self.one_of(b"0123456789")? - b'0'))
        })
    }

    /// One digit or more, as nanoseconds.
    fn fraction(&mut self) -> Option<u64> {
        let mut unit = 100_000_000;
        let mut nanos = u64::from(self.one_of(b"0123456789")? - b'0') * unit;
        while let Some(digit) = self.one_of(b"0123456789") {
            unit /= 10;
            nanos += u64::from(digit - b'0') * unit;
        }
        Some(nanos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix(text: &str) -> Option<i64> {
        let moment = parse(text)?;
        Some(match moment.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap(),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap(),
        })
    }

    #[test]
    fn utc_offsets_and_either_case_are_read() {
        assert_eq!(unix("2025-03-15T08:58:28Z"), Some(1_742_029_108));
        assert_eq!(unix("2025-03-15t10:58:28+02:00"), Some(1_742_029_108));
        assert_eq!(unix("2025-03-14 23:28:28-09:30"), Some(1_742_029_108));
        assert_eq!(unix("1969-12-31T23:59:59z"), Some(-1));
        assert_eq!(unix("0000-01-01T00:00:00Z"), Some(-62_167_219_200));
        assert_eq!(unix("2016-12-31T23:59:60Z"), Some(1_483_228_800));
    }

    #[test]
    fn fractions_are_read_to_the_nanosecond() {
        let nanos = |text| {
            parse(text)
                .unwrap()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos()
        };
        assert_eq!(nanos("1970-01-01T00:00:01.5Z"), 1_500_000_000);
        assert_eq!(nanos("1970-01-01T00:00:00.0000000019999999999999Z"), 1);
    }

    #[test]
    fn what_is_not_a_moment_is_none() {
        for text in [
            "",
            "2025-03-15",
            "2025-03-15T08:58:28",
            "2025-03-15T08:58:28.Z",
            "2025-03-15T08:58:28ZZ",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:60:00Z",
            "2025-01-01T00:00:61Z",
            "2025-01-01T00:00:00+24:00",
            "2025-01-01T00:00:00+0100",
            "+025-01-01T00:00:00Z",
            "ANTHROPIC-RATELIMIT-TOKENS-RESET-XXX",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    /// The calendar is httpdate's, so that an error here is not repeated by its mirror image.
    fn write(moment: SystemTime, nanos: u64, zone: &str) -> String {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let date = httpdate::fmt_http_date(moment);
        let words: Vec<&str> = date.split_whitespace().collect();
        let month = MONTHS.iter().position(|month| *month == words[2]).unwrap() + 1;
        format!(
            "{}-{month:02}-{}T{}.{nanos:09}{zone}",
            words[3], words[1], words[4]
        )
    }

    #[test]
    fn moments_are_written_in_utc_to_the_millisecond() {
        let at = |millis| format(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(1_742_029_108_250), "2025-03-15T08:58:28.250Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in 0_u64..253_402_300_799_000) {
            let moment = UNIX_EPOCH + Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(moment)), Some(moment));
        }

        #[test]
        fn every_moment_reads_back(
            seconds in 100_000_u64..253_402_200_000,
            nanos in 0_u64..1_000_000_000,
            offset in -1439_i64..=1439,
        ) {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            let local = UNIX_EPOCH + Duration::from_secs(seconds.checked_add_signed(offset * 60).unwrap());
            let zone = format!("{}{:02}:{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 60, offset.abs() % 60);
            let expected = Some(moment + Duration::from_nanos(nanos));
            prop_assert_eq!(parse(&write(moment, nanos, "Z")), expected);
            prop_assert_eq!(parse(&write(local, nanos, &zone)), expected);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9]{2}:[0-9]{2})",
        ) {
            let _ = parse(&text);
        }
    }
}

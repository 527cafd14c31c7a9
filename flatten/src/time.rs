//! When something happened: from what devices write to microseconds and to the hour of a partition.
//!
//! In comes text in RFC 3339 or a number since 1970 in seconds, milliseconds or microseconds; out come microseconds in
//! UTC. Text without a zone is a time only for whoever says which zone is meant ([`Zoneless`]). Devices do not say which unit they mean, so the magnitude decides: the ranges of the three do not meet for any
//! time between 1973 and 5138. What does not parse is `None` and stays the value it was.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Microseconds of the first instant of the year 2000: earlier clocks are wrong clocks.
const YEAR_2000: i64 = 946_684_800_000_000;
/// Microseconds of the first instant of the year 2100.
const YEAR_2100: i64 = 4_102_444_800_000_000;

/// An hour in UTC, the finest partition there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour {
    /// 2000-2099.
    pub year: i16,
    /// 1-12.
    pub month: i8,
    /// 1-31.
    pub day: i8,
    /// 0-23.
    pub hour: i8,
}

/// What text without a zone, such as `2026-03-01T09:00:00`, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoneless {
    /// No time: the zone would be a guess.
    NoTime,
    /// A time in UTC.
    Utc,
}

impl Hour {
    /// The hour of an instant in microseconds since 1970; `None` outside the years 2000 to 2099.
    pub fn of_micros(micros: i64) -> Option<Hour> {
        if !is_of_this_century(micros) {
            return None;
        }
        let civil = Timestamp::from_microsecond(micros).ok()?.to_zoned(TimeZone::UTC).datetime();
        Some(Hour { year: civil.year(), month: civil.month(), day: civil.day(), hour: civil.hour() })
    }
}

/// Whether an instant in microseconds since 1970 is in the years 2000 to 2099.
pub fn is_of_this_century(micros: i64) -> bool {
    (YEAR_2000..YEAR_2100).contains(&micros)
}

/// Microseconds since 1970 of a number of seconds, milliseconds or microseconds, told apart by magnitude: below 10^11
/// seconds, below 10^14 milliseconds, below 10^17 microseconds.
pub fn micros_of_double(number: f64) -> Option<i64> {
    let scale = match number.abs() {
        magnitude if magnitude < 1e11 => 1e6,
        magnitude if magnitude < 1e14 => 1e3,
        magnitude if magnitude < 1e17 => 1.0,
        _ => return None,
    };
    Some((number * scale).round() as i64)
}

/// The same for an integer.
pub fn micros_of_long(number: i64) -> Option<i64> {
    match number.unsigned_abs() {
        magnitude if magnitude < 100_000_000_000 => Some(number * 1_000_000),
        magnitude if magnitude < 100_000_000_000_000 => Some(number * 1_000),
        magnitude if magnitude < 100_000_000_000_000_000 => Some(number),
        _ => None,
    }
}

/// Microseconds since 1970 of RFC 3339 text, rounded down.
pub fn micros_of_text(text: &str) -> Option<i64> {
    // The parser takes more than RFC 3339 does (time zones in brackets); an instant is all that is meant here.
    if text.len() < 20 || text.len() > 40 || text.contains('[') {
        return None;
    }
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

/// Microseconds since 1970 of text that is RFC 3339 but for its zone, such as `2026-03-01 09:00`, read as UTC.
pub fn micros_of_zoneless_text(text: &str) -> Option<i64> {
    // Behind the date a sign or a letter would be a zone, which the parser passes over.
    let is_zoneless = |rest: &[u8]| rest.iter().all(|byte| byte.is_ascii_digit() || b"T :.,".contains(byte));
    if text.len() < 16 || text.len() > 35 || !text.as_bytes().get(10..).is_some_and(is_zoneless) {
        return None;
    }
    let instant = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(instant.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_units_and_text_mean_the_same_instant() {
        let expected = Some(1_772_355_600_123_000);
        assert_eq!(micros_of_long(1_772_355_600_123), expected);
        assert_eq!(micros_of_double(1_772_355_600_123.0), expected);
        assert_eq!(micros_of_long(1_772_355_600_123_000), expected);
        assert_eq!(micros_of_double(1_772_355_600.123), expected);
        assert_eq!(micros_of_text("2026-03-01T09:00:00.123Z"), expected);
        assert_eq!(micros_of_text("2026-03-01T10:00:00.123+01:00"), expected);
        assert_eq!(micros_of_text("2026-03-01"), None);
        assert_eq!(micros_of_long(i64::MIN), None);
    }

    #[test]
    fn text_without_a_zone_is_read_as_utc_only_where_that_is_said() {
        for text in ["2026-03-01T09:00:00", "2026-03-01 09:00", "2026-03-01T09:00:00.000000"] {
            assert_eq!(micros_of_text(text), None, "{text}");
            assert_eq!(micros_of_zoneless_text(text), Some(1_772_355_600_000_000), "{text}");
        }
        for text in [
            "2026-03-01",
            "2026-03-01T09:00+01",
            "2026-03-01T09:00:00-05:00",
            "2026-03-01T09:00:00Z",
            "2026-03-01T09:00[UTC]",
            "2026-02-30T09:00:00",
            "yesterday at noon",
            "1772355600123000",
        ] {
            assert_eq!(micros_of_zoneless_text(text), None, "{text}");
        }
    }

    #[test]
    fn hours_outside_the_century_are_none() {
        let hour = Hour::of_micros(1_772_355_600_123_000).unwrap();
        assert_eq!((hour.year, hour.month, hour.day, hour.hour), (2026, 3, 1, 9));
        assert_eq!(Hour::of_micros(YEAR_2000 - 1), None);
        assert_eq!(Hour::of_micros(YEAR_2100), None);
        assert!(Hour::of_micros(YEAR_2100 - 1).is_some());
    }
}

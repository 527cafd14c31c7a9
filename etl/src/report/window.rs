//! The time that a report is about: whole hours in UTC, as rows are filed.
//!
//! In come the hours that have files, and what was asked for; out come the bounds, as hours and as seconds since 1970, and
//! the condition for SQL. What must stay true: what is filed under no hour is always part of it, for no time excludes it;
//! a step of a chart never is so short that the time has more than [`STEPS`] of them.

use jiff::Timestamp;

use crate::partition::Partition;

/// Seconds of an hour.
pub(super) const HOUR: i64 = 3600;

/// Seconds of a day.
const DAY: i64 = 24 * HOUR;

/// The most steps of a line: as many points as a chart can show beside each other.
pub(super) const STEPS: i64 = 200;

/// Lengths of steps, in seconds, that divide hours or days.
const LENGTHS: [i64; 9] = [60, 300, 900, 1800, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY];

/// From one hour up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// The first second of it, since 1970.
    pub(super) since: i64,
    /// The first second behind it.
    pub(super) until: i64,
}

impl Window {
    /// The time between what was asked for. What was not: the newest day of `hours` and the day before it.
    pub(super) fn choose(
        hours: impl Iterator<Item = Partition>,
        since: Option<Partition>,
        until: Option<Partition>,
        now: i64,
    ) -> Window {
        let newest = hours.filter_map(second_of).max().unwrap_or(now);
        let of = |hour: Option<Partition>| hour.and_then(second_of);
        let until = of(until).unwrap_or_else(|| {
            let end = newest.div_euclid(DAY) * DAY + DAY;
            // Asked for later than all that is there.
            of(since).map_or(end, |since| end.max(since + HOUR))
        });
        let since = of(since).unwrap_or((until - 1).div_euclid(DAY) * DAY - DAY);
        Window { since, until }
    }

    /// Whether what is filed under this hour is part of it.
    pub(super) fn has(self, hour: Partition) -> bool {
        second_of(hour).is_none_or(|second| (self.since..self.until).contains(&second))
    }

    /// Whether a day, as folders of receipts are called (`2026/03/01`), has hours of it.
    pub(super) fn has_day(self, folder: &str) -> bool {
        let hour: Option<Partition> = folder.replace('/', "-").parse().ok();
        let midnight = hour.and_then(second_of);
        midnight.is_none_or(|midnight| midnight < self.until && midnight + DAY > self.since)
    }

    /// The same as SQL about the partition keys, which are text; without what is filed under no hour.
    pub(super) fn condition(self) -> String {
        let bound = |second| {
            let hour = hour_at(second).map_or_else(|| "9999".to_owned(), |hour| hour.values().concat());
            format!("'{hour}'")
        };
        let key = "year || month || day || hour";
        format!("{key} >= {} AND {key} < {}", bound(self.since), bound(self.until))
    }

    /// The length of the steps of its lines, in seconds.
    pub(super) fn step(self) -> i64 {
        let length = self.until - self.since;
        let fits = LENGTHS.into_iter().find(|step| length <= step * STEPS);
        fits.unwrap_or_else(|| (length / STEPS).div_euclid(DAY) * DAY + DAY)
    }
}

/// The first second of an hour since 1970; `None` of [`Partition::UNKNOWN`].
pub(super) fn second_of(hour: Partition) -> Option<i64> {
    let known = Some(hour).filter(|hour| *hour != Partition::UNKNOWN)?;
    Some(format!("{known}:00:00Z").parse::<Timestamp>().ok()?.as_second())
}

/// The hour in which a second is.
pub(super) fn hour_at(second: i64) -> Option<Partition> {
    let instant = Timestamp::from_second(second).ok()?;
    instant.strftime("%Y-%m-%dT%H").to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> Partition {
        text.parse().unwrap()
    }

    fn chosen(hours: &[&str], since: Option<&str>, until: Option<&str>) -> [String; 2] {
        let hours = hours.iter().map(|text| hour(text));
        let window = Window::choose(hours, since.map(hour), until.map(hour), 0);
        [window.since, window.until].map(|second| hour_at(second).unwrap().to_string())
    }

    #[test]
    fn without_being_told_it_is_the_newest_day_and_the_one_before() {
        let hours = ["2026-02-01T03", "0000-00-00T00", "2026-03-01T13"];
        assert_eq!(chosen(&hours, None, None), ["2026-02-28T00", "2026-03-02T00"]);
        assert_eq!(chosen(&hours, Some("2026-03-01T12"), None), ["2026-03-01T12", "2026-03-02T00"]);
        assert_eq!(chosen(&hours, None, Some("2026-02-02")), ["2026-01-31T00", "2026-02-02T00"]);
        assert_eq!(chosen(&hours, None, Some("2026-02-02T05")), ["2026-02-01T00", "2026-02-02T05"]);
        assert_eq!(chosen(&hours, Some("2026-05-01"), None), ["2026-05-01T00", "2026-05-01T01"]);
    }

    #[test]
    fn what_has_no_hour_is_always_part_of_it() {
        let window = Window { since: 1_772_323_200, until: 1_772_334_000 };
        assert!(window.has(Partition::UNKNOWN) && window.has_day("undated"));
        assert!(window.has(hour("2026-03-01T02")) && !window.has(hour("2026-03-01T03")));
        assert!(
            window.has_day("2026/03/01") && !window.has_day("2026/03/02") && !window.has_day("2026/02/28")
        );
        let key = "year || month || day || hour";
        assert_eq!(window.condition(), format!("{key} >= '2026030100' AND {key} < '2026030103'"));
    }

    #[test]
    fn steps_are_as_short_as_charts_can_show() {
        let step = |hours| Window { since: 0, until: hours * HOUR }.step();
        assert_eq!([1, 3, 6, 48, 72, 24 * 365].map(step), [60, 60, 300, 900, 1800, 2 * DAY]);
        for hours in (1..9000).step_by(7) {
            assert!(hours * HOUR <= step(hours) * STEPS, "{hours}");
        }
    }
}

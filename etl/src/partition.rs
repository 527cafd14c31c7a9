//! The hour a row is filed under, and what decides it.
//!
//! A partition is an hour in UTC; its folder is `year=YYYY/month=MM/day=DD/hour=HH`, with zero-padded values, because
//! Athena compares them as strings. What has no hour goes to `year=0000/month=00/day=00/hour=00`, where it is found,
//! rather than to a guess.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use iotlake_flatten::Path;
use iotlake_flatten::time::{Hour, Zoneless};
use serde::{Deserialize, Serialize};

/// An hour in UTC of the years 2000 to 2099, or [`Partition::UNKNOWN`]. Ordered by time, the unknown first.
///
/// Written and serialized as `2026-03-01T05`; a date without an hour is read as its first hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Partition {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
}

impl Partition {
    /// Where rows without a time go.
    pub const UNKNOWN: Partition = Partition { year: 0, month: 0, day: 0, hour: 0 };

    /// The hour of these numbers; `None` if the calendar has none such or it lies outside of 2000-2099.
    pub fn new(year: u16, month: u8, day: u8, hour: u8) -> Option<Partition> {
        let date = jiff::civil::Date::new(year as i16, month as i8, day as i8);
        let is_hour = (2000..2100).contains(&year) && date.is_ok() && hour < 24;
        is_hour.then_some(Partition { year, month, day, hour })
    }

    /// The values of the keys `year`, `month`, `day` and `hour`.
    pub fn values(self) -> [String; 4] {
        [
            format!("{:04}", self.year),
            format!("{:02}", self.month),
            format!("{:02}", self.day),
            format!("{:02}", self.hour),
        ]
    }

    /// Its folder below that of the table: `year=2026/month=03/day=01/hour=05`.
    pub fn folder(self) -> String {
        let Partition { year, month, day, hour } = self;
        format!("year={year:04}/month={month:02}/day={day:02}/hour={hour:02}")
    }

    /// Another folder for it, beside that one and of equal depth: `year=2026/month=03/day=01/hour=0%35`. The last digit is
    /// written as Hive escapes what a name of a file may not have, so that whoever reads keys from paths reads the same
    /// hour there. What lies in one of the two is neither below nor above the other.
    pub fn folder_aside(self) -> String {
        let mut folder = self.folder();
        let last = folder.pop().expect("it ends with a digit");
        folder.push_str(&format!("%{:02X}", u32::from(last)));
        folder
    }

    /// The partition whose [`Partition::folder_aside`] is `folder`, exactly.
    pub fn from_folder_aside(folder: &str) -> Option<Partition> {
        let (before, code) = folder.rsplit_once('%')?;
        let digit = u32::from_str_radix(code, 16).ok().and_then(char::from_u32)?;
        let partition = Partition::from_folder(&format!("{before}{digit}"))?;
        (partition.folder_aside() == folder).then_some(partition)
    }

    /// When its hour is over; `None` for the unknown, which no time is in.
    pub fn end(self) -> Option<SystemTime> {
        let Partition { year, month, day, hour } = self;
        let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()?;
        let begin = date.at(hour as i8, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        let seconds = u64::try_from(begin.timestamp().as_second()).ok()? + 3600;
        (self != Partition::UNKNOWN).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// The partition whose [`Partition::folder`] is `folder`, exactly.
    pub fn from_folder(folder: &str) -> Option<Partition> {
        let mut parts = folder.split('/').zip(["year=", "month=", "day=", "hour="]);
        let mut next = || parts.next().and_then(|(part, key)| part.strip_prefix(key)?.parse().ok());
        let (year, month, day, hour) = (next()?, next()?, next()?, next()?);
        let numbers = (year, u8::try_from(month).ok()?, u8::try_from(day).ok()?, u8::try_from(hour).ok()?);
        let partition = match numbers {
            (0, 0, 0, 0) => Partition::UNKNOWN,
            (year, month, day, hour) => Partition::new(year, month, day, hour)?,
        };
        // Written any other way (`month=3`), it is another folder.
        (partition.folder() == folder).then_some(partition)
    }

    /// The day as a folder: `2026/03/01`; `undated` for the unknown.
    pub fn day_folder(self) -> String {
        match self {
            Partition::UNKNOWN => "undated".to_owned(),
            Partition { year, month, day, .. } => format!("{year:04}/{month:02}/{day:02}"),
        }
    }
}

impl From<Hour> for Partition {
    fn from(hour: Hour) -> Partition {
        let Hour { year, month, day, hour } = hour;
        Partition { year: year as u16, month: month as u8, day: day as u8, hour: hour as u8 }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Partition { year, month, day, hour } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}")
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> String {
        partition.to_string()
    }
}

impl TryFrom<String> for Partition {
    type Error = NotAnHour;

    fn try_from(text: String) -> Result<Partition, NotAnHour> {
        text.parse()
    }
}

/// A text that is no hour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no date or hour: write it as 2026-03-01 or 2026-03-01T05 (UTC, years 2000 to 2099)")]
pub struct NotAnHour(pub String);

impl FromStr for Partition {
    type Err = NotAnHour;

    fn from_str(text: &str) -> Result<Partition, NotAnHour> {
        let read = || {
            let (date, hour) = text.split_once('T').unwrap_or((text, "00"));
            let mut fields = date.split('-').chain([hour]).zip([4, 2, 2, 2]);
            let mut next = || {
                let (field, digits) = fields.next()?;
                let is_number = field.len() == digits && field.bytes().all(|byte| byte.is_ascii_digit());
                if is_number { field.parse::<u16>().ok() } else { None }
            };
            let numbers = (next()?, next()? as u8, next()? as u8, next()? as u8);
            if date.len() != 10 {
                return None;
            }
            match numbers {
                (0, 0, 0, 0) => Some(Partition::UNKNOWN),
                (year, month, day, hour) => Partition::new(year, month, day, hour),
            }
        };
        read().ok_or_else(|| NotAnHour(text.to_owned()))
    }
}

/// What decides the partition of a row: an option of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PartitionBy {
    /// The hour in the key of its source. The default: it is what Firehose writes, and every record has it.
    #[default]
    Arrival,
    /// The time at this path of the record itself. Text without a zone is none.
    Event(Path),
    /// The same, and text without a zone is UTC.
    EventUtc(Path),
}

impl PartitionBy {
    /// Where the time of a record stands, and what it is without a zone; `None` if its source tells the hour.
    pub fn event(&self) -> Option<(&Path, Zoneless)> {
        match self {
            PartitionBy::Arrival => None,
            PartitionBy::Event(path) => Some((path, Zoneless::NoTime)),
            PartitionBy::EventUtc(path) => Some((path, Zoneless::Utc)),
        }
    }

    /// The same, where times without a zone are UTC; `None` if records have no say in it.
    pub fn assuming_utc(self) -> Option<PartitionBy> {
        match self {
            PartitionBy::Arrival => None,
            PartitionBy::Event(path) | PartitionBy::EventUtc(path) => Some(PartitionBy::EventUtc(path)),
        }
    }
}

impl fmt::Display for PartitionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, path) = match self {
            PartitionBy::Arrival => return f.write_str("arrival"),
            PartitionBy::Event(path) => ("event", path),
            PartitionBy::EventUtc(path) => ("event-utc", path),
        };
        match path.keys().any(|key| key.is_empty() || key.contains(['.', '['])) {
            true => write!(f, "{word}:{}", path.to_json()),
            false => write!(f, "{word}:{path}"),
        }
    }
}

impl From<PartitionBy> for String {
    fn from(by: PartitionBy) -> String {
        by.to_string()
    }
}

impl TryFrom<String> for PartitionBy {
    type Error = NotAPartitioning;

    fn try_from(text: String) -> Result<PartitionBy, NotAPartitioning> {
        text.parse()
    }
}

/// A text that names no way to partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no way to partition: write `arrival`, or `event:` and the path of a time in the record, \
     such as `event:ts` or `event:[\"key with.dot\",\"ts\"]`; `event-utc:` also reads times without a zone, as UTC"
)]
pub struct NotAPartitioning(pub String);

impl FromStr for PartitionBy {
    type Err = NotAPartitioning;

    fn from_str(text: &str) -> Result<PartitionBy, NotAPartitioning> {
        let wrong = || NotAPartitioning(text.to_owned());
        if text == "arrival" {
            return Ok(PartitionBy::Arrival);
        }
        let (word, path) = text.split_once(':').ok_or_else(wrong)?;
        let by = match word {
            "event" => PartitionBy::Event,
            "event-utc" => PartitionBy::EventUtc,
            _ => return Err(wrong()),
        };
        let path = match path.starts_with('[') {
            true => serde_json::from_str::<Path>(path).map_err(|_| wrong())?,
            false if path.split('.').any(str::is_empty) => return Err(wrong()),
            false => Path::dotted(path),
        };
        if path.is_empty() { Err(wrong()) } else { Ok(by(path)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_the_same_in_every_way_of_writing_it() {
        let hour = Partition::new(2026, 3, 1, 5).unwrap();
        assert_eq!(hour.folder(), "year=2026/month=03/day=01/hour=05");
        assert_eq!(hour.values(), ["2026", "03", "01", "05"]);
        assert_eq!(hour.day_folder(), "2026/03/01");
        for hour in [hour, Partition::UNKNOWN] {
            assert_eq!(Partition::from_folder(&hour.folder()), Some(hour));
            assert_eq!(hour.to_string().parse(), Ok(hour));
        }
        assert_eq!("2026-03-01".parse(), Ok(Partition::new(2026, 3, 1, 0).unwrap()));
        assert_eq!(Partition::UNKNOWN.day_folder(), "undated");
        assert!(Partition::UNKNOWN < hour);
        let of_time = Hour::of_micros(1_772_355_600_123_000).map(Partition::from);
        assert_eq!(of_time, Partition::new(2026, 3, 1, 9));
    }

    #[test]
    fn a_partition_has_two_folders_that_never_meet() {
        let hour = Partition::new(2026, 3, 1, 19).unwrap();
        assert_eq!(hour.folder_aside(), "year=2026/month=03/day=01/hour=1%39");
        for hour in (0..24).filter_map(|hour| Partition::new(2026, 3, 1, hour)).chain([Partition::UNKNOWN]) {
            assert_eq!(Partition::from_folder_aside(&hour.folder_aside()), Some(hour));
            assert_eq!(Partition::from_folder_aside(&hour.folder()), None);
            assert_eq!(Partition::from_folder(&hour.folder_aside()), None);
            assert!(!hour.folder_aside().starts_with(&hour.folder()));
        }
        for folder in
            ["year=2026/month=03/day=01/hour=1%3", "year=2026/month=03/day=01/hour=%31%39", "x%39", "%"]
        {
            assert_eq!(Partition::from_folder_aside(folder), None, "{folder}");
        }
    }

    #[test]
    fn an_hour_is_over_when_the_next_begins() {
        let end =
            |hour: Partition| hour.end().and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
        let hour = Partition::new(2026, 3, 1, 9).unwrap();
        assert_eq!(end(hour), Some(Duration::from_secs(1_772_359_200)));
        assert_eq!(end(Partition::UNKNOWN), None);
    }

    #[test]
    fn what_the_calendar_does_not_have_is_no_hour() {
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-3-1",
            "2026-03-01T24",
            "2026-03-01T5",
            "2026-03-01T05Z",
            "1999-01-01",
            "",
        ] {
            assert!(text.parse::<Partition>().is_err(), "{text}");
        }
        assert!("2028-02-29".parse::<Partition>().is_ok());
        for folder in ["year=2026/month=3/day=01/hour=05", "year=2026/month=03/day=01", "2026/03/01/05"] {
            assert_eq!(Partition::from_folder(folder), None, "{folder}");
        }
        assert_eq!(Partition::from_folder("year=2026/month=03/day=01/hour=05/x"), None);
    }

    #[test]
    fn a_partitioning_survives_being_written() {
        let dotted = PartitionBy::Event(Path::new(["a.b", "ts"]));
        assert_eq!(dotted.to_string(), r#"event:["a.b","ts"]"#);
        let utc = dotted.clone().assuming_utc().unwrap();
        assert_eq!(utc.to_string(), r#"event-utc:["a.b","ts"]"#);
        for by in [PartitionBy::Arrival, PartitionBy::Event(Path::dotted("meta.ts")), dotted, utc] {
            assert_eq!(by.to_string().parse(), Ok(by));
        }
        for text in ["", "event", "event:", "event:a..b", "event:[]", "Arrival", "utc:ts"] {
            assert!(text.parse::<PartitionBy>().is_err(), "{text}");
        }
    }
}

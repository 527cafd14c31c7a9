//! Why records of a time are no rows: a count and the newest samples of each reason.
//!
//! In comes the table of rejects; out come its reasons, the most frequent first. Samples of a reason are those of the newest
//! hour that has any, so that not every file is read for them. What must stay true: what a device sent is shown as text,
//! cut where it is long; the command that is named shows all of them.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, AsArray};
use serde::Serialize;

use super::window::{Window, second_of};
use super::{Options, ReportError, cut, sql};
use crate::catalog::{Table, TableName};
use crate::partition::Partition;
use crate::query::Session;

/// Samples of each reason.
const SAMPLES: usize = 3;

/// The most characters of a sample, and of the name of its source.
const LENGTH: usize = 240;

/// The rejects of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rejects {
    /// How many there are.
    pub records: u64,
    /// Their reasons, the most frequent first.
    pub reasons: Vec<Reason>,
}

/// The rejects of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The reason.
    pub reason: String,
    /// How many have it.
    pub records: u64,
    /// The newest hour of one; `null` where none has an hour.
    pub hour: Option<i64>,
    /// Some of that hour.
    pub samples: Vec<Sample>,
    /// The command that shows all of them.
    pub command: String,
}

/// One reject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The source.
    pub source: String,
    /// The line of its first byte, from 1.
    pub line: i64,
    /// How many bytes it has.
    pub length: i64,
    /// Its first bytes, as text.
    pub text: String,
}

/// The rejects of `table`: those of the window, and those under no hour.
pub(super) fn of(
    session: &Session,
    table: &Table,
    window: Window,
    options: &Options,
) -> Result<Rejects, ReportError> {
    let rejects = TableName::rejects(&table.name).to_string();
    let name = sql::name(&rejects);
    let time = format!("(year = '0000' OR {})", window.condition());
    let counts = session.run(&format!(
        "SELECT reason, count(*), max(year || '-' || month || '-' || day || 'T' || hour) FROM {name} WHERE {time} \
         GROUP BY reason ORDER BY 2 DESC, 1"
    ))?;
    let mut found = Rejects::default();
    for batch in &counts.batches {
        for row in 0..batch.num_rows() {
            let (Some(reason), Some(records), Some(hour)) =
                (sql::string(batch, 0, row), sql::long(batch, 1, row), sql::string(batch, 2, row))
            else {
                continue;
            };
            let hour: Partition = hour.parse().unwrap_or(Partition::UNKNOWN);
            found.records += records as u64;
            let asked =
                format!("SELECT _source, line, bytes FROM {name} WHERE reason = {}", sql::text(reason));
            found.reasons.push(Reason {
                reason: reason.to_owned(),
                records: records as u64,
                hour: second_of(hour),
                samples: samples(session, &name, reason, hour)?,
                command: format!("iotlake query {} {}", options.arguments, shell_quoted(&asked)),
            });
        }
    }
    Ok(found)
}

fn samples(
    session: &Session,
    rejects: &str,
    reason: &str,
    hour: Partition,
) -> Result<Vec<Sample>, ReportError> {
    let answer = session.run(&format!(
        "SELECT _source, line, length, bytes FROM {rejects} WHERE reason = {} AND {} \
         ORDER BY _source, _record LIMIT {SAMPLES}",
        sql::text(reason),
        sql::is_hour(&hour.values())
    ))?;
    let mut samples = Vec::new();
    for batch in &answer.batches {
        let bytes = batch.column(3).as_binary_opt::<i32>();
        for row in 0..batch.num_rows() {
            let bytes = bytes.filter(|bytes| bytes.is_valid(row)).map_or(&[][..], |bytes| bytes.value(row));
            samples.push(Sample {
                source: cut(sql::string(batch, 0, row).unwrap_or_default(), LENGTH),
                line: sql::long(batch, 1, row).unwrap_or_default(),
                length: sql::long(batch, 2, row).unwrap_or_default(),
                text: cut(&readable(bytes), LENGTH),
            });
        }
    }
    Ok(samples)
}

/// Bytes as text: what is no UTF-8 as `\xff`, so that the bytes can be told.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a String takes all");
        }
    }
    text
}

/// One word for a shell.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_can_be_told_and_shells_read_one_word() {
        assert_eq!(readable(b"a\xff\xc3(\xe2\x82\xac"), "a\\xff\\xc3(\u{20ac}");
        assert_eq!(shell_quoted("reason = 'a'"), r"'reason = '\''a'\'''");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüx", 3), "äöü…");
    }
}

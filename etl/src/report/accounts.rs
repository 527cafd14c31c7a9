//! The accounts of a time: what receipts say of records, what files hold, hour by hour, and whether the two agree.
//!
//! In come a table and a time; out come the files that queries read, the footers of those in this time, and the accounts.
//! Receipts name rows and rejects by hour; footers say how many rows there are to be read. What must stay true: the numbers
//! by hour are those of the files, as SQL counts them; accounts that do not balance say where.

use std::collections::BTreeMap;

use iotlake_flatten::ColumnSummary;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::window::{HOUR, Window, second_of};
use super::{Options, ReportError};
use crate::catalog::{Side, Table, TableName};
use crate::error::Error;
use crate::footer;
use crate::lake::Lake;
use crate::ledger::{Ledger, LedgerError, Receipt};
use crate::partition::{Partition, PartitionBy};
use crate::place::Place;
use crate::query::{Session, TableFile};
use crate::source::KeyPattern;
use crate::storage::ObjectMeta;

/// How many differences are told.
const TOLD: usize = 20;

/// Hours are added up to days in a time that is longer than this.
const BY_HOUR: i64 = 31 * 24 * HOUR;

/// Fewer bytes than this are a small file, if others of its hour are too: readers plan and open each by itself.
const WHOLE: u64 = 128 << 20;

/// How many hours of small files are told.
const UNTIDY: usize = 20;

/// What became of the records of all sources with files in a time: `records = rows + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// Sources.
    pub sources: u64,
    /// Records in them.
    pub records: u64,
    /// Records that became rows.
    pub rows: u64,
    /// Records that were rejected.
    pub rejected: u64,
    /// The length of the sources as stored, in bytes.
    pub stored: u64,
    /// The same when decoded.
    pub decoded: u64,
    /// Whether receipts agree with themselves, and with the files, in every hour.
    pub balances: bool,
    /// Where they do not.
    pub differences: Vec<String>,
}

/// Rows, rejects, bytes and files, from the first hour that has a file to the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hours {
    /// When the first begins.
    pub begin: i64,
    /// The length of each in seconds: an hour, or a day.
    pub step: i64,
    /// Rows.
    pub rows: Vec<u64>,
    /// Rejects.
    pub rejected: Vec<u64>,
    /// Bytes of the files of both.
    pub bytes: Vec<u64>,
    /// Number of these files.
    pub files: Vec<u64>,
}

/// What is filed under no hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Undated {
    /// Rows.
    pub rows: u64,
    /// Rejects.
    pub rejected: u64,
    /// Bytes of the files of both.
    pub bytes: u64,
    /// Number of these files.
    pub files: u64,
}

/// How new the newest is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// When a file was last written, where the storage knows.
    pub written: Option<i64>,
    /// The newest hour that has rows, in the whole table.
    pub hour: Option<i64>,
    /// The time of the newest row in the time of the report.
    pub row: Option<i64>,
}

/// The files of the whole table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Hours that have rows.
    pub hours: u64,
    /// Files of rows.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Files of rejects.
    pub rejects_files: u64,
    /// Bytes of these.
    pub rejects_bytes: u64,
    /// Hours with more files than would do.
    pub untidy_hours: u64,
    /// Those with most files too many.
    pub untidy: Vec<Untidy>,
    /// Up to which size a file is small, in bytes.
    pub whole: u64,
}

/// An hour with more files than would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Untidy {
    /// When it begins; `null` for rows under no hour.
    pub hour: Option<i64>,
    /// Files of rows.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// How many files would do.
    pub would_do: u64,
}

/// All that is read to keep the accounts.
pub(super) struct Books {
    pub(super) window: Window,
    pub(super) accounts: Accounts,
    pub(super) hours: Hours,
    pub(super) undated: Undated,
    pub(super) freshness: Freshness,
    pub(super) files: Listed,
    /// Of the files of rows in the window.
    pub(super) footers: Vec<Footer>,
    pub(super) unread: Vec<String>,
}

/// The files of a table that queries read, by key.
pub(super) struct Listed {
    pub(super) rows: Vec<TableFile>,
    pub(super) rejects: Vec<TableFile>,
}

/// What a file says of itself.
pub(super) struct Footer {
    pub(super) hour: Partition,
    pub(super) rows: u64,
    pub(super) columns: Vec<ColumnSummary>,
}

/// Sums by side and hour.
type Sums = BTreeMap<(Side, Partition), u64>;

/// Reads what there is to be known of a table without reading rows.
pub(super) fn read(
    lake: &Lake,
    session: &Session,
    table: &Table,
    options: &Options,
) -> Result<Books, ReportError> {
    let rejects_name = TableName::rejects(&table.name).to_string();
    let mut unread = Vec::new();
    let mut listed = |name: &str| -> Result<_, ReportError> {
        let files = session.files(name, None)?;
        unread.extend(session.unread().into_iter().map(|unread| unread.message));
        Ok(files)
    };
    let files = Listed { rows: listed(&table.name)?, rejects: listed(&rejects_name)? };
    let all = || files.rows.iter().chain(&files.rejects);
    let window = Window::choose(all().map(|file| file.partition), options.since, options.until, options.now);
    let mut differences = Vec::new();
    let mut of_window = |files: &[TableFile]| {
        let meant: Vec<_> = files.iter().filter(|file| window.has(file.partition)).collect();
        footers(lake, &meant, &mut differences)
    };
    let (footers, rejects) = (of_window(&files.rows)?, of_window(&files.rejects)?);
    let mut seen = Sums::new();
    for (side, footer) in
        footers.iter().map(|of| (Side::Rows, of)).chain(rejects.iter().map(|of| (Side::Rejects, of)))
    {
        *seen.entry((side, footer.hour)).or_default() += footer.rows;
    }
    let receipts = receipts(lake, table, window)?;
    let accounts = balance(table, window, &receipts, &seen, differences);
    let written = all().filter_map(|file| file.modified).max();
    let since_1970 = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).ok();
    let freshness = Freshness {
        written: written.and_then(since_1970).map(|length| length.as_secs() as i64),
        hour: files.rows.iter().filter_map(|file| second_of(file.partition)).max(),
        row: None,
    };
    let (hours, undated) = by_hour(window, &files, &seen);
    Ok(Books { window, accounts, hours, undated, freshness, files, footers, unread })
}

/// What files say of themselves, in the order of `files`.
pub(super) fn footers(
    lake: &Lake,
    files: &[&TableFile],
    differences: &mut Vec<String>,
) -> Result<Vec<Footer>, ReportError> {
    let read = |file: &&TableFile| -> Result<Result<Footer, String>, Error> {
        let (key, size) = (file.key.clone(), file.bytes);
        let meta = ObjectMeta { key, size, modified: file.modified, etag: None, note: None };
        let footer = footer::read(&*lake.storage, &meta).map_err(Error::from)?;
        Ok(footer.map_err(|reason| format!("{} {reason}", file.uri)).map(|footer| Footer {
            hour: file.partition,
            rows: footer.file_metadata().num_rows() as u64,
            columns: ColumnSummary::of_footer(&footer),
        }))
    };
    let read = files.par_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    let mut footers = Vec::with_capacity(read.len());
    for footer in read {
        match footer {
            Ok(footer) => footers.push(footer),
            Err(reason) => differences.push(reason),
        }
    }
    Ok(footers)
}

/// The receipts of sources that may have files in the window.
fn receipts(lake: &Lake, table: &Table, window: Window) -> Result<Vec<Receipt>, ReportError> {
    // Receipts are filed by the day that the name of a source tells in the usual way. Where that is also how rows are
    // filed, those of other days have nothing here.
    let is_filed_alike = table.partition_by == PartitionBy::Arrival
        && table.key_pattern.as_ref().is_none_or(|pattern| *pattern == KeyPattern::default());
    let folder = Ledger::folder(&table.name);
    let mut keys = Vec::new();
    let listed = lake.storage.list(&folder, &mut |meta| {
        let day = meta.key[folder.len()..].rsplit_once('/').map_or("", |(day, _)| day);
        if !is_filed_alike || window.has_day(day) {
            keys.push(meta.key);
        }
        Ok(())
    });
    listed.map_err(Error::from)?;
    let ledger = lake.ledger();
    let read = |key: &String| -> Result<Option<Receipt>, Error> {
        let Some(bytes) = lake.storage.read(key)? else { return Ok(None) };
        match ledger.parse(key, &bytes) {
            Ok(receipt) => Ok(Some(receipt).filter(|receipt| !receipt.given_up)),
            // `audit` tells of it; queries read nothing that only it names.
            Err(LedgerError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let receipts = keys.par_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    let is_meant = |receipt: &Receipt| {
        let mut named = receipt.outputs.iter().chain(&receipt.rejects);
        if receipt.outputs.is_empty() && receipt.rejects.is_empty() {
            return window.has(receipt.options.hour.unwrap_or(Partition::UNKNOWN));
        }
        named.any(|output| Place::parse(&table.name, &output.key).is_some_and(|of| window.has(of.partition)))
    };
    Ok(receipts.into_iter().flatten().filter(is_meant).collect())
}

fn balance(
    table: &Table,
    window: Window,
    receipts: &[Receipt],
    seen: &Sums,
    mut differences: Vec<String>,
) -> Accounts {
    let mut accounts = Accounts { sources: receipts.len() as u64, ..Accounts::default() };
    let mut named = Sums::new();
    for receipt in receipts {
        let counts = &receipt.counts;
        accounts.records += counts.records;
        accounts.rows += counts.rows;
        accounts.rejected += counts.rejected;
        accounts.stored += receipt.size;
        accounts.decoded += counts.bytes_decoded;
        let in_files = [&receipt.outputs, &receipt.rejects]
            .map(|outputs| outputs.iter().map(|output| output.rows).sum::<u64>());
        if counts.records != counts.rows + counts.rejected || in_files != [counts.rows, counts.rejected] {
            let (records, [rows, rejected]) = (counts.records, in_files);
            let source = super::cut(&receipt.source, 200);
            differences
                .push(format!("{source}: {records} records are not {rows} rows and {rejected} rejected"));
        }
        for output in receipt.outputs.iter().chain(&receipt.rejects) {
            let place = Place::parse(&table.name, &output.key).filter(|place| window.has(place.partition));
            if let Some(place) = place {
                *named.entry((place.side, place.partition)).or_default() += output.rows;
            }
        }
    }
    let both: std::collections::BTreeSet<_> = named.keys().chain(seen.keys()).collect();
    for place in both {
        let of = |sums: &Sums| sums.get(place).copied().unwrap_or(0);
        let (receipts, files) = (of(&named), of(seen));
        if receipts != files {
            let (side, hour) = place;
            let what = if *side == Side::Rows { "rows" } else { "rejects" };
            differences.push(format!("{hour}: receipts name {receipts} {what}, files have {files}"));
        }
    }
    accounts.balances = differences.is_empty();
    let more = differences.len().saturating_sub(TOLD);
    differences.truncate(TOLD);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    accounts.differences = differences;
    accounts
}

fn by_hour(window: Window, files: &Listed, seen: &Sums) -> (Hours, Undated) {
    let step = if window.until - window.since > BY_HOUR { 24 * HOUR } else { HOUR };
    let place = |hour: Partition| second_of(hour).map(|second| second.div_euclid(step));
    let all = || files.rows.iter().chain(&files.rejects).filter(|file| window.has(file.partition));
    let first = all().filter_map(|file| place(file.partition)).min();
    let last = all().filter_map(|file| place(file.partition)).max();
    let (begin, steps) = match (first, last) {
        (Some(first), Some(last)) => (first, (last - first + 1) as usize),
        _ => (window.since.div_euclid(step), 0),
    };
    let none = || vec![0; steps];
    let mut hours =
        Hours { begin: begin * step, step, rows: none(), rejected: none(), bytes: none(), files: none() };
    let mut undated = Undated::default();
    for file in all() {
        let (bytes, files) = match place(file.partition) {
            Some(at) => (&mut hours.bytes[(at - begin) as usize], &mut hours.files[(at - begin) as usize]),
            None => (&mut undated.bytes, &mut undated.files),
        };
        *bytes += file.bytes;
        *files += 1;
    }
    for ((side, hour), rows) in seen {
        let sum = match (side, place(*hour)) {
            (Side::Rows, Some(at)) => &mut hours.rows[(at - begin) as usize],
            (Side::Rejects, Some(at)) => &mut hours.rejected[(at - begin) as usize],
            (Side::Rows, None) => &mut undated.rows,
            (Side::Rejects, None) => &mut undated.rejected,
        };
        *sum += rows;
    }
    (hours, undated)
}

impl Files {
    /// What the listing of a table says of it.
    pub(super) fn of(files: &Listed) -> Files {
        let mut by_hour: BTreeMap<Partition, (u64, u64)> = BTreeMap::new();
        for file in &files.rows {
            let (number, bytes) = by_hour.entry(file.partition).or_default();
            *number += 1;
            *bytes += file.bytes;
        }
        let untidy = |(hour, (files, bytes)): (&Partition, &(u64, u64))| {
            let would_do = bytes.div_ceil(WHOLE).max(1);
            let hour = second_of(*hour);
            (*files > would_do).then_some(Untidy { hour, files: *files, bytes: *bytes, would_do })
        };
        let mut untidy: Vec<Untidy> = by_hour.iter().filter_map(untidy).collect();
        let untidy_hours = untidy.len() as u64;
        untidy.sort_by_key(|of| (std::cmp::Reverse(of.files - of.would_do), of.hour));
        untidy.truncate(UNTIDY);
        Files {
            hours: by_hour.len() as u64,
            files: files.rows.len() as u64,
            bytes: files.rows.iter().map(|file| file.bytes).sum(),
            rejects_files: files.rejects.len() as u64,
            rejects_bytes: files.rejects.iter().map(|file| file.bytes).sum(),
            untidy_hours,
            untidy,
            whole: WHOLE,
        }
    }
}

//! The columns of a table: how full they are, since when there are values, and which share a path.
//!
//! In come the footers of the files of a time, and those of as many files before it as are worth a look; out comes one entry
//! a column, in the table's order. What must stay true: no rows are read for it; how full a column is says how many of the
//! rows in this time have a value; where not all files were looked at, the first value may be older, and that is said.

use std::collections::HashMap;

use serde::Serialize;

use super::accounts::{self, Footer};
use super::window::{Window, second_of};
use super::{ReportError, cut, sql};
use crate::catalog::Table;
use crate::lake::Lake;
use crate::query::TableFile;

/// How many files before the time of the report are looked at for first values.
const LOOKED_BACK: usize = 1000;

/// The longest path that is shown, in characters.
const PATH: usize = 160;

/// The columns of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Columns {
    /// How many there are.
    pub count: u64,
    /// Rows in the time of the report.
    pub rows: u64,
    /// The hour up to which files were looked at, backwards; `null` where that is all of them.
    pub looked_back_to: Option<i64>,
    /// The columns, in the table's order, or the first of them.
    pub listed: Vec<Column>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in the words of Athena.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its path in the records.
    pub path: String,
    /// How many rows in the time of the report have a value.
    pub values: u64,
    /// The hour of the first value that was seen.
    pub first: Option<i64>,
    /// Other columns of the same path: values that came in another type.
    pub siblings: Vec<String>,
}

/// What files say of one column.
#[derive(Default)]
struct Seen {
    values: u64,
    first: Option<i64>,
}

/// The columns of `table`.
pub(super) fn of(
    lake: &Lake,
    table: &Table,
    window: Window,
    footers: &[Footer],
    files: &[TableFile],
) -> Result<Columns, ReportError> {
    let mut seen: HashMap<String, Seen> = HashMap::new();
    for footer in footers {
        look(footer, true, &mut seen);
    }
    // Files of hours before the window, the newest first.
    let is_before = |file: &&TableFile| second_of(file.partition).is_some_and(|second| second < window.since);
    let mut before: Vec<&TableFile> = files.iter().filter(is_before).collect();
    before.sort_by_key(|file| std::cmp::Reverse(file.partition));
    let is_complete = before.len() <= LOOKED_BACK;
    before.truncate(LOOKED_BACK);
    for footer in accounts::footers(lake, &before, &mut Vec::new())? {
        look(&footer, false, &mut seen);
    }
    let looked_at = before.into_iter().chain(files.iter().filter(|file| window.has(file.partition)));
    let oldest = looked_at.filter_map(|file| second_of(file.partition)).min();
    let mut by_path: HashMap<_, Vec<&str>> = HashMap::new();
    for column in table.schema.columns() {
        by_path.entry(&column.identity.path).or_default().push(&column.name);
    }
    let listed = table.schema.columns().iter().map(|column| {
        let Seen { values, first } = seen.remove(&column.name).unwrap_or_default();
        let path = &column.identity.path;
        let siblings = by_path[path].iter().filter(|name| **name != column.name);
        Column {
            name: column.name.clone(),
            ty: sql::type_of(column),
            path: cut(&path.to_string(), PATH),
            values,
            first,
            siblings: siblings.map(|name| (*name).to_owned()).collect(),
        }
    });
    Ok(Columns {
        count: table.schema.columns().len() as u64,
        rows: footers.iter().map(|footer| footer.rows).sum(),
        looked_back_to: oldest.filter(|_| !is_complete),
        listed: listed.collect(),
    })
}

fn look(footer: &Footer, is_in_window: bool, seen: &mut HashMap<String, Seen>) {
    let hour = second_of(footer.hour);
    for column in &footer.columns {
        // What does not say how many are missing has no less than one.
        let values = footer.rows.saturating_sub(column.nulls.unwrap_or(0));
        if values == 0 {
            continue;
        }
        let of = seen.entry(column.name.clone()).or_default();
        if is_in_window {
            of.values += values;
        }
        of.first = [of.first, hour].into_iter().flatten().min();
    }
}

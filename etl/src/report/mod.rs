//! What is to be seen of a table: the facts behind `iotlake report`, and the page that shows them.
//!
//! In come a lake and a time; out comes one document, [`Facts`], and from it a page of HTML that needs nothing else. Rows,
//! rejects, bytes and columns are told by receipts, by the listing that queries use, and by the footers of files; devices and
//! their measurements by one query of the time asked for, rejects by a query for their counts and one for the samples of each
//! reason.
//!
//! What must stay true: what is counted here is what SQL counts; a document, and so a page, is never longer than
//! [`MOST_BYTES`], however many devices, columns and rejects there are, and says what it left out.

mod accounts;
mod columns;
mod devices;
mod error;
mod fit;
mod page;
mod rejects;
mod sql;
mod window;

use serde::Serialize;

use crate::catalog::{Table, TableName};
use crate::lake::Lake;
use crate::partition::Partition;
use crate::query::Session;

pub use accounts::{Accounts, Files, Freshness, Hours, Undated, Untidy};
pub use columns::{Column, Columns};
pub use devices::{Devices, Line, Measure, Panels};
pub use error::ReportError;
pub use fit::MOST_BYTES;
pub use page::{Liveness, page};
pub use rejects::{Reason, Rejects, Sample};

use accounts::Books;

/// What a report is to be about.
#[derive(Debug, Clone)]
pub struct Options {
    /// The table.
    pub table: String,
    /// The column that tells devices apart. Without it, that of the kit if the table has it.
    pub device: Option<String>,
    /// The first hour; without it, the first of the newest day but one.
    pub since: Option<Partition>,
    /// The hour behind the last; without it, that behind the newest day that has data.
    pub until: Option<Partition>,
    /// The lake, as it is typed in commands: `--lake DIR`.
    pub arguments: String,
    /// When this is, in seconds since 1970.
    pub now: i64,
}

/// Everything that a page shows. Times are seconds since 1970; fields are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// The format of this document: 1.
    pub format: u32,
    /// The version of iotlake.
    pub iotlake: &'static str,
    /// When it was made.
    pub generated: i64,
    /// Where the lake lies.
    pub lake: String,
    /// The lake, as it is typed in commands.
    pub arguments: String,
    /// The table.
    pub table: String,
    /// The table of its rejects.
    pub rejects_table: String,
    /// What decides the hour of a row: `arrival` or `event:PATH`.
    pub filed_by: String,
    /// The first second of the time that this is about.
    pub since: i64,
    /// The first second behind it.
    pub until: i64,
    /// What became of the records of all sources that have files in this time.
    pub accounts: Accounts,
    /// Rows, rejects and bytes by hour.
    pub hours: Hours,
    /// What is filed under no hour, whenever it came.
    pub undated: Undated,
    /// How new the newest is.
    pub freshness: Freshness,
    /// Who sent in this time.
    pub devices: Devices,
    /// What they sent, over time.
    pub panels: Panels,
    /// The columns of the table.
    pub columns: Columns,
    /// Why records are no rows.
    pub rejects: Rejects,
    /// The files of the whole table.
    pub files: Files,
    /// What is there and is not read.
    pub unread: Vec<String>,
}

/// Looks at a table.
///
/// # Errors
/// If there is no such table or column, or the lake cannot be read.
pub fn gather(lake: &Lake, options: &Options) -> Result<Facts, ReportError> {
    let session = Session::open(lake)?;
    let table = find(lake, &options.table)?;
    // A source that is replaced meanwhile may be seen half; what does not balance the second time is news.
    let mut books = accounts::read(lake, &session, &table, options)?;
    if !books.accounts.balances {
        books = accounts::read(lake, &session, &table, options)?;
    }
    let Books { window, accounts, hours, undated, freshness, files, footers, unread } = books;
    let columns = columns::of(lake, &table, window, &footers, &files.rows)?;
    let (devices, panels, row) = devices::of(&session, &table, window, options)?;
    let rejects = rejects::of(&session, &table, window, options)?;
    let mut facts = Facts {
        format: 1,
        iotlake: env!("CARGO_PKG_VERSION"),
        generated: options.now,
        lake: lake.storage.uri(""),
        arguments: options.arguments.clone(),
        rejects_table: TableName::rejects(&table.name).to_string(),
        filed_by: table.partition_by.to_string(),
        table: table.name,
        since: window.since,
        until: window.until,
        accounts,
        hours,
        undated,
        freshness: Freshness { row, ..freshness },
        devices,
        panels,
        columns,
        rejects,
        files: Files::of(&files),
        unread,
    };
    facts.fit(MOST_BYTES);
    Ok(facts)
}

fn find(lake: &Lake, name: &str) -> Result<Table, ReportError> {
    let catalog = &*lake.catalog;
    let found = catalog.table(name).map_err(crate::error::Error::from)?;
    let there = || catalog.tables().map_err(crate::error::Error::from);
    match found {
        Some(table) => Ok(table),
        None => Err(ReportError::no_table(name, &there()?)),
    }
}

/// `text`, or its beginning with an ellipsis where it has more than `most` characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

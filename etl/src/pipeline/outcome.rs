//! What became of a source, for those who count, print and warn.

use std::collections::BTreeMap;

use iotlake_flatten::TableColumn;

use super::account::{Columns, Counts};

/// Whether there was anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The source was ingested.
    Done,
    /// Its receipt was there; nothing was changed.
    AlreadyDone,
}

/// What became of a source.
#[derive(Debug, Clone)]
pub struct Ingested {
    /// Whether there was anything to do.
    pub status: Status,
    /// Accounts of what was done now; nothing for a source that was already done.
    pub counts: Counts,
    /// Number of rejects by [`iotlake_flatten::Reason::code`]. Empty for a source that was already done.
    pub rejects_by_reason: BTreeMap<&'static str, u64>,
    /// Columns that the table did not have before.
    pub new_columns: Vec<TableColumn>,
    /// What became of columns. Nothing for a source that was already done.
    pub columns: Columns,
    /// How often another writer changed the table first.
    pub conflicts: u32,
    /// What a person should know though nothing failed: damage in a compressed stream.
    pub warnings: Vec<String>,
    /// The same of files that are there or were.
    pub remarks: Vec<Remark>,
}

/// What a person should know though nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What is the matter.
    pub message: String,
    /// What can be done about it.
    pub hint: &'static str,
}

impl Ingested {
    /// Of a source that was done already.
    pub(super) fn already_done(remarks: Vec<Remark>) -> Ingested {
        Ingested {
            status: Status::AlreadyDone,
            counts: Counts::default(),
            rejects_by_reason: BTreeMap::new(),
            new_columns: Vec::new(),
            columns: Columns::default(),
            conflicts: 0,
            warnings: Vec::new(),
            remarks,
        }
    }
}

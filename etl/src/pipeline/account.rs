//! What became of the bytes and records of a source: accounts that have to balance before there is a receipt.

use std::collections::{BTreeMap, BTreeSet};

use iotlake_flatten::{Cells, Contract, Fit, Identity, Part, Path, SettledPart};

use super::error::PipelineError;
use crate::catalog::{DataFile, Side};
use crate::decode::Stored;
use crate::ledger::Output;

/// What became of the bytes and records of a source, or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Records found.
    pub records: u64,
    /// Records that became rows.
    pub rows: u64,
    /// Records that were rejected.
    pub rejected: u64,
    /// Values at paths that the contract ignores.
    pub ignored: u64,
    /// Bytes of the sources as stored.
    pub bytes_stored: u64,
    /// Bytes of the sources decoded.
    pub bytes_decoded: u64,
    /// Bytes of the files written.
    pub bytes_out: u64,
    /// Files written.
    pub files: u64,
    /// Columns that the table did not have before.
    pub new_columns: u64,
    /// Rows that are to be filed by a time of their own and have none: they are in [`crate::partition::Partition::UNKNOWN`].
    pub untimed: u64,
    /// Of these, rows whose time only lacks its zone.
    pub zoneless: u64,
    /// Rows with fields in `_overflow`, for want of room for their columns.
    pub overflowed: u64,
}

impl Counts {
    /// Whether every record is a row or a reject.
    pub fn balances(&self) -> bool {
        self.records == self.rows + self.rejected
    }

    /// Adds the counts of another source.
    pub fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.ignored += other.ignored;
        self.bytes_stored += other.bytes_stored;
        self.bytes_decoded += other.bytes_decoded;
        self.bytes_out += other.bytes_out;
        self.files += other.files;
        self.new_columns += other.new_columns;
        self.untimed += other.untimed;
        self.zoneless += other.zoneless;
        self.overflowed += other.overflowed;
    }
}

/// How many files are told to the catalog at a time: what is known of their columns takes memory, and a source may have
/// any number of files.
const COMMITTED: usize = 1024;

/// What became of columns: those that were declared, and those that found no room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    /// Columns that found no room in the table, up to [`Columns::MAX_REFUSED`] of them.
    pub refused: BTreeSet<Identity>,
    /// Declared paths that took a value.
    pub filled: BTreeSet<Path>,
}

impl Columns {
    /// Most columns that are remembered as refused: keys that are data have no end.
    pub const MAX_REFUSED: usize = 1024;

    /// Takes a part into account, as it was read and fitted.
    fn add_part(&mut self, part: &Part, fit: &Fit, contract: &Contract) {
        self.refuse(fit.refused());
        for declared in &contract.columns {
            let has_value =
                || part.columns.binary_search_by(|column| column.identity.path.cmp(&declared.path));
            if !self.filled.contains(&declared.path) && has_value().is_ok() {
                self.filled.insert(declared.path.clone());
            }
        }
    }

    /// Adds those of another source.
    pub fn add(&mut self, other: Columns) {
        self.refuse(&other.refused);
        self.filled.extend(other.filled);
    }

    fn refuse<'a>(&mut self, refused: impl IntoIterator<Item = &'a Identity>) {
        for identity in refused {
            if self.refused.len() < Columns::MAX_REFUSED {
                self.refused.insert(identity.clone());
            }
        }
    }
}

/// Rows that an event time files nowhere.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Untimed {
    pub(super) rows: u64,
    /// Those of them whose time only lacks its zone.
    pub(super) zoneless: u64,
}

/// Everything an attempt has had written so far.
#[derive(Default)]
pub(super) struct Written {
    pub(super) outputs: Vec<Output>,
    pub(super) rejects: Vec<Output>,
    /// Files that the catalog was not told of yet.
    pub(super) uncommitted: BTreeMap<Side, Vec<DataFile>>,
    /// Highest number of a record.
    records: u64,
    ignored: u64,
    untimed: Untimed,
    overflowed: u64,
    pub(super) columns: Columns,
    /// Offset up to which parts account for the decoded source.
    accounted: u64,
    pub(super) rejects_by_reason: BTreeMap<&'static str, u64>,
}

impl Written {
    /// Takes a file into the accounts that lies where it belongs.
    pub(super) fn add(&mut self, side: Side, file: DataFile) {
        let outputs = match side {
            Side::Rows => &mut self.outputs,
            Side::Rejects => &mut self.rejects,
        };
        outputs.push(file.output());
        self.uncommitted.entry(side).or_default().push(file);
    }

    /// Whether it is time to tell the catalog.
    pub(super) fn is_to_be_committed(&self) -> bool {
        self.uncommitted.values().map(Vec::len).sum::<usize>() >= COMMITTED
    }

    /// Takes note of what becomes of the columns of a part.
    pub(super) fn fit(&mut self, part: &Part, fit: &Fit, contract: &Contract) {
        self.columns.add_part(part, fit, contract);
    }

    /// Takes a part into the accounts.
    pub(super) fn account(&mut self, part: &SettledPart, untimed: Untimed) {
        let last_row = part.records.last().copied().unwrap_or(0);
        let last_reject = part.rejects.last().map_or(0, |reject| reject.record);
        self.records = self.records.max(last_row).max(last_reject);
        self.ignored += part.ignored;
        self.overflowed += part.overflow().map_or(0, Cells::len) as u64;
        self.untimed.rows += untimed.rows;
        self.untimed.zoneless += untimed.zoneless;
        if part.span.start == self.accounted {
            self.accounted = part.span.end;
        }
        for reject in &part.rejects {
            *self.rejects_by_reason.entry(reject.reason.code()).or_default() += 1;
        }
    }

    /// The accounts of the source `source_name`, which was read to its end.
    ///
    /// # Errors
    /// [`PipelineError::Unbalanced`].
    pub(super) fn balance(&self, source_name: &str, stored: &Stored) -> Result<Counts, PipelineError> {
        let rows = self.outputs.iter().map(|output| output.rows).sum();
        let rejected = self.rejects.iter().map(|output| output.rows).sum();
        let files = self.outputs.iter().chain(&self.rejects);
        let counts = Counts {
            records: self.records,
            rows,
            rejected,
            ignored: self.ignored,
            bytes_stored: stored.size,
            bytes_decoded: stored.decoded,
            bytes_out: files.clone().map(|output| output.bytes).sum(),
            files: files.count() as u64,
            new_columns: 0,
            untimed: self.untimed.rows,
            zoneless: self.untimed.zoneless,
            overflowed: self.overflowed,
        };
        let unbalanced = |difference| {
            let source_name = source_name.to_owned();
            Err(PipelineError::Unbalanced { source_name, difference })
        };
        if !counts.balances() {
            return unbalanced(format!("{} records, {rows} rows, {rejected} rejects", counts.records));
        }
        if counts.records > 0 && self.accounted != stored.decoded {
            let (accounted, decoded) = (self.accounted, stored.decoded);
            return unbalanced(format!("parts account for {accounted} of {decoded} bytes"));
        }
        Ok(counts)
    }
}

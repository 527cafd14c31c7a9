//! What an approach found: the account on which all have to agree.
//!
//! In come columns or parts; out comes, for every path and kind, the number of values and a checksum over all (row,
//! value) pairs. Rows count from the start of the source, and the checksum of a column is a sum, so that it does not
//! matter into how many parts the values were cut. This runs outside of what is timed.

use std::collections::BTreeMap;

use iotlake_flatten::{Kind, Part, Path};

use crate::columns::{AnyValues, Columns};

/// Rows, and the number and checksum of the values of each column.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Number of rows.
    pub rows: u64,
    columns: BTreeMap<(Path, Kind), Column>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Column {
    values: u64,
    checksum: u64,
}

impl Answer {
    /// The account of what iotlake handed out.
    ///
    /// # Panics
    /// If a record was rejected or overflowed: the data sets have neither.
    pub fn of_parts(parts: &[Part]) -> Answer {
        let mut answer = Answer::default();
        for part in parts {
            assert!(part.rejects.is_empty() && !part.spilled, "the data sets are clean");
            for column in &part.columns {
                let (path, kind) = (column.identity.path.clone(), column.identity.kind);
                answer.add(path, kind, &column.cells.rows, &column.cells.values);
            }
            answer.rows += u64::from(part.rows);
        }
        answer
    }

    /// The account of what a rival collected.
    pub fn of_columns(columns: &Columns) -> Answer {
        let mut answer = Answer::default();
        for (path, kind, rows, values) in columns.iter() {
            answer.add(path, kind, rows, values);
        }
        answer.rows = u64::from(columns.rows());
        answer
    }

    /// Number of columns.
    pub fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// Number of values in all columns.
    pub fn value_count(&self) -> u64 {
        self.columns.values().map(|column| column.values).sum()
    }

    fn add<'a>(&mut self, path: Path, kind: Kind, rows: &[u32], values: impl Into<AnyValues<'a>>) {
        let values = values.into();
        let column = self.columns.entry((path, kind)).or_default();
        column.values += rows.len() as u64;
        for (at, row) in rows.iter().enumerate() {
            let row = self.rows + u64::from(*row);
            column.checksum = column.checksum.wrapping_add(values.hash(at, row));
        }
    }
}

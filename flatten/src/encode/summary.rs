//! What is in the columns of a file, as its footer says it: for whoever commits files to a table.
//!
//! In comes the metadata of a file, just written or read back; out comes for each column how many rows have no value, and
//! the least and the greatest value where they are known. What must stay true: what is said here is what a reader finds
//! in the footer; a bound that is not exact, or not known of one row group, is not said at all.

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

/// A file, and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its number of rows.
    pub rows: u64,
    /// Its columns, in their order.
    pub columns: Vec<ColumnSummary>,
}

/// What is in one column of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSummary {
    /// The name of the column.
    pub name: String,
    /// How many rows have no value, if it is known.
    pub nulls: Option<u64>,
    /// The least and the greatest value; `None` where there is no value or they are too long to be kept.
    pub bounds: Option<(Bound, Bound)>,
}

/// The least or the greatest value of a column.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Bound {
    /// Of a column of booleans.
    Boolean(bool),
    /// Of integers, or of timestamps in microseconds.
    Long(i64),
    /// Of doubles. Zero is -0 as the least and +0 as the greatest.
    Double(f64),
    /// Of text, or of bytes; ordered byte by byte.
    Bytes(Vec<u8>),
}

impl ColumnSummary {
    /// The columns of a file with this metadata.
    pub fn of_footer(footer: &ParquetMetaData) -> Vec<ColumnSummary> {
        let columns = footer.file_metadata().schema_descr().columns().iter().enumerate();
        let summary = |(place, column): (usize, &ColumnDescPtr)| {
            let groups = footer.row_groups();
            let nulls = groups.iter().map(|group| statistics(group, place)?.null_count_opt()).sum();
            ColumnSummary { name: column.path().string(), nulls, bounds: bounds(groups, place) }
        };
        columns.map(summary).collect()
    }
}

fn statistics(group: &RowGroupMetaData, place: usize) -> Option<&Statistics> {
    group.column(place).statistics()
}

/// The bounds of a column over all row groups. One whose rows are all without a value says nothing about them.
fn bounds(groups: &[RowGroupMetaData], place: usize) -> Option<(Bound, Bound)> {
    let mut all: Option<(Bound, Bound)> = None;
    for group in groups {
        let statistics = statistics(group, place)?;
        if statistics.null_count_opt() == Some(group.num_rows() as u64) {
            continue;
        }
        let (least, most) = of_group(statistics)?;
        all = Some(match all {
            None => (least, most),
            Some((a, b)) => (if least < a { least } else { a }, if most > b { most } else { b }),
        });
    }
    all
}

fn of_group(statistics: &Statistics) -> Option<(Bound, Bound)> {
    if !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    Some(match statistics {
        Statistics::Boolean(of) => (Bound::Boolean(*of.min_opt()?), Bound::Boolean(*of.max_opt()?)),
        Statistics::Int64(of) => (Bound::Long(*of.min_opt()?), Bound::Long(*of.max_opt()?)),
        Statistics::Double(of) => (Bound::Double(*of.min_opt()?), Bound::Double(*of.max_opt()?)),
        Statistics::ByteArray(of) => {
            (Bound::Bytes(of.min_opt()?.data().to_vec()), Bound::Bytes(of.max_opt()?.data().to_vec()))
        }
        // No column of ours has another type.
        _ => return None,
    })
}

//! What can go wrong when files are compacted.

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use crate::catalog::CatalogError;
use crate::error::Hint;
use crate::generation::GenerationError;
use crate::ledger::LedgerError;
use crate::partition::Partition;
use crate::storage::StorageError;

/// Why a partition was not compacted. What readers see is what they saw before.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "fields are named in the messages")]
pub enum CompactError {
    /// The rows that were read are not those that were written and left out.
    #[error(
        "{table} {partition}: {read} rows were read, {written} written and {removed} left out, of {expected} by the accounts"
    )]
    Unbalanced { table: String, partition: Partition, read: u64, written: u64, removed: u64, expected: u64 },
    /// One record is a row twice.
    #[error("{table} {partition}: record {record} of {source_of} is a row twice")]
    Twice { table: String, partition: Partition, source_of: String, record: i64 },
    /// A file is not what its receipt, or the manifest of its generation, says.
    #[error("{uri}: is not the file that was written: {reason}")]
    Damaged { uri: String, reason: String },
    /// A file has a column that its table does not have so.
    #[error("{uri}: column `{column}` is not one of table `{table}`")]
    Column { uri: String, table: String, column: String },
    /// Something else lies where a file is to be put.
    #[error("{uri}: is in the way: another file was expected there")]
    Conflict { uri: String },
    /// Other runs changed the partition each time.
    #[error("{table} {partition}: other runs came first every time")]
    Contended { table: String, partition: Partition },
    /// What does not fit into memory could not be kept on the disk.
    #[error("{folder}: rows cannot be kept there while they are sorted")]
    Spill { folder: String, source: std::io::Error },
    /// Parquet could not be read or written.
    #[error("{uri}: cannot be read or written as Parquet")]
    Parquet { uri: String, source: ParquetError },
    /// Rows could not be sorted.
    #[error("rows cannot be sorted")]
    Arrow(#[from] ArrowError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A manifest cannot be read.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// A receipt cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Hint for CompactError {
    fn hint(&self) -> Option<&str> {
        match self {
            CompactError::Unbalanced { .. } | CompactError::Twice { .. } => {
                Some("`iotlake audit --bytes` tells which file is not what its receipt says")
            }
            CompactError::Damaged { .. } | CompactError::Column { .. } => {
                Some("take it from a backup, or ingest its source again with --replace")
            }
            CompactError::Conflict { .. } => Some("move it out of the lake, then run again"),
            CompactError::Contended { .. } => Some("run again, with fewer of them at a time"),
            CompactError::Spill { .. } => Some("name a folder with more room: TMPDIR"),
            CompactError::Parquet { .. } | CompactError::Arrow(_) => None,
            CompactError::Storage(error) => error.hint(),
            CompactError::Catalog(error) => error.hint(),
            CompactError::Generation(error) => error.hint(),
            CompactError::Ledger(error) => error.hint(),
        }
    }
}

impl CompactError {
    /// Whether something is not there any more that was there when it was listed.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, CompactError::Storage(StorageError::NotFound { .. }))
    }
}

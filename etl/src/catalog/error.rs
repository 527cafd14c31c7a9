//! What can go wrong with a catalog, by what the caller can do about it.

use super::TableName;
use crate::error::Hint;
use crate::generation::GenerationError;
use crate::partition::Partition;
use crate::remote::RemoteError;
use crate::storage::StorageError;

/// Why a catalog did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such table.
    #[error("there is no table `{name}`")]
    NoTable {
        /// The name.
        name: String,
    },
    /// The table has no such partition.
    #[error("there is no partition {partition} of table `{table}`")]
    NoPartition {
        /// The table.
        table: String,
        /// The partition.
        partition: Partition,
    },
    /// The name cannot be used.
    #[error("`{name}` cannot be a name: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// Why not, and what can.
        reason: String,
    },
    /// The table that is there promises something else.
    #[error("table `{table}`: {what} is {has}, but {asked} was asked for")]
    Disagrees {
        /// The table.
        table: String,
        /// What differs: an option, or the type of a path.
        what: String,
        /// What the table has.
        has: String,
        /// What was asked for.
        asked: String,
    },
    /// Other writers changed the document each time.
    #[error("{uri}: other writers came first {attempts} times in a row")]
    Contended {
        /// The document.
        uri: String,
        /// How often.
        attempts: u32,
    },
    /// A document in a format that this version does not know.
    #[error("{uri}: written by a newer iotlake (format {format}; this one knows {known})")]
    Newer {
        /// The document.
        uri: String,
        /// Its format.
        format: u64,
        /// The newest format that this version knows.
        known: u64,
    },
    /// A document, or a table of Glue, that is not what iotlake writes.
    #[error("{uri}: not what iotlake writes: {reason}")]
    Damaged {
        /// The document.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something of that name is there that cannot serve.
    #[error("`{name}` in {catalog} cannot be used: {reason}")]
    Foreign {
        /// The name.
        name: String,
        /// The catalog.
        catalog: String,
        /// How it can be told.
        reason: String,
    },
    /// The service that is the catalog did not do what it was asked to.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    /// The manifest that tells where a partition lies cannot be read.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// The storage below failed.
    #[error("cannot read or write the catalog")]
    Storage(#[from] StorageError),
}

impl CatalogError {
    /// The name is that of `what`.
    pub(crate) fn taken(name: &str, what: &str) -> CatalogError {
        let (name, catalog) = (name.to_owned(), "the catalog".to_owned());
        CatalogError::Foreign { name, catalog, reason: format!("it is {what}") }
    }

    /// The table has no such partition.
    pub(crate) fn no_partition(table: &TableName, partition: Partition) -> CatalogError {
        CatalogError::NoPartition { table: table.to_string(), partition }
    }
}

impl Hint for CatalogError {
    fn hint(&self) -> Option<&str> {
        match self {
            CatalogError::NoTable { .. } => {
                Some("check the name; a table is made by the first `iotlake backfill` into it")
            }
            CatalogError::Disagrees { .. } => Some(
                "columns and options of a table never change: leave contract and options as they were when the table \
                 was made, or ingest into another table",
            ),
            CatalogError::NoPartition { .. } => {
                Some("`iotlake catalog rebuild` makes known what the files and receipts of the lake say")
            }
            CatalogError::Contended { .. } => {
                Some("run the same command again, with fewer writers at a time")
            }
            CatalogError::Newer { .. } => Some("upgrade iotlake"),
            CatalogError::Damaged { .. } => {
                Some("undo the edit that somebody made, or restore it from a backup")
            }
            CatalogError::Foreign { .. } => {
                Some("choose another name, or another database; nothing of it was changed")
            }
            CatalogError::Remote(error) => error.hint(),
            CatalogError::Generation(error) => error.hint(),
            CatalogError::Storage(source) => source.hint(),
            CatalogError::InvalidName { .. } => None,
        }
    }
}

//! What can go wrong with the ledger, by what the caller can do about it.

use super::FORMAT;
use crate::error::Hint;
use crate::storage::StorageError;

/// Why the ledger did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A receipt of another source stands where that of this one belongs: their 128-bit hashes are the same.
    #[error("{uri}: is the receipt of {there}, not of {asked}")]
    Collision {
        /// The receipt.
        uri: String,
        /// The source it is of.
        there: String,
        /// The source that was asked for.
        asked: String,
    },
    /// The source was ingested before, and something about it or the options was different then.
    #[error("{uri}: source {source_name} was ingested before, and differently: {difference}")]
    Conflict {
        /// The receipt that is there.
        uri: String,
        /// The source.
        source_name: String,
        /// What is different.
        difference: String,
    },
    /// A receipt in a format that this version does not know.
    #[error("{uri}: written by a newer iotlake (format {format}; this one knows {FORMAT})")]
    Newer {
        /// The receipt.
        uri: String,
        /// Its format.
        format: u64,
    },
    /// An object that is no receipt.
    #[error("{uri}: not a receipt")]
    Damaged {
        /// The object.
        uri: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The storage below failed.
    #[error("cannot read or write the receipts")]
    Storage(#[from] StorageError),
}

impl Hint for LedgerError {
    fn hint(&self) -> Option<&str> {
        match self {
            LedgerError::Conflict { .. } => Some("another run came first; run again to see what stands now"),
            LedgerError::Newer { .. } => Some("upgrade iotlake"),
            LedgerError::Damaged { .. } => {
                Some("ingest its source again with --replace, which writes it anew")
            }
            LedgerError::Collision { .. } => Some("ingest one of the two sources into another table"),
            LedgerError::Storage(source) => source.hint(),
        }
    }
}

//! Why a source was not ingested, by what the caller can do about it.

use iotlake_flatten::EncodeError;

use crate::catalog::CatalogError;
use crate::decode::DecodeError;
use crate::error::Hint;
use crate::ledger::LedgerError;
use crate::remote::Fault;
use crate::storage::StorageError;
use crate::turns::Closed;

/// Why a source was not ingested.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "fields are named in the messages")]
pub enum PipelineError {
    /// The source changed since it was ingested.
    #[error("{source_name}: the source changed since it was ingested: {difference}")]
    Changed { source_name: String, difference: String },
    /// A file is where one of the source's belongs, and it is somebody else's.
    #[error("{uri}: a file is in the place of an output of {source_name}, and is not one of its files")]
    Conflict { uri: String, source_name: String },
    /// Another run ingests the same source in another way, and began later.
    #[error("{source_name}: another run has begun to ingest the source anew (revision {revision})")]
    Superseded { source_name: String, revision: u32 },
    /// The record of an attempt cannot be read.
    #[error("{uri}: not the record of an attempt")]
    Record { uri: String, source: serde_json::Error },
    /// Records do not add up to rows and rejects.
    #[error("{source_name}: accounts do not balance: {difference}")]
    Unbalanced { source_name: String, difference: String },
    /// Other writers came first every time.
    #[error("{source_name}: other runs changed what is there too often while the source was read")]
    Contended { source_name: String },
    /// The key does not tell the hour that the table is partitioned by.
    #[error("{source_name}: there is no hour in its key, and the table is partitioned by arrival")]
    NoHour { source_name: String },
    /// No record has a time where the table is filed by one.
    #[error("{source_name}: {} has a usable time at {path}", none_of(*rows, *is_all))]
    NoTime { source_name: String, path: String, rows: u64, zoneless: u64, is_all: bool },
    /// The run was stopped.
    #[error("stopped")]
    Stopped,
    /// The source cannot be read.
    #[error("cannot read {source_name}")]
    Source { source_name: String, source: StorageError },
    /// A folder of sources cannot be listed, or a file has a name that cannot be a key.
    #[error("{message}")]
    Unlisted { message: String, hint: Option<String> },
    /// The source cannot be decoded.
    #[error("{source_name}")]
    Decode { source_name: String, source: DecodeError },
    /// The lake's storage failed.
    #[error("cannot write the lake")]
    Storage(#[from] StorageError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

fn none_of(rows: u64, is_all: bool) -> String {
    if is_all { "no record".to_owned() } else { format!("none of the first {rows} records") }
}

impl PipelineError {
    /// Whether the lake itself takes no more, so that every other source would fail too.
    pub fn ends_all(&self) -> bool {
        let of_lake = match self {
            PipelineError::Storage(error)
            | PipelineError::Catalog(CatalogError::Storage(error))
            | PipelineError::Ledger(LedgerError::Storage(error)) => error,
            _ => return false,
        };
        match of_lake {
            StorageError::Full { .. } | StorageError::ReadOnly { .. } => true,
            StorageError::Remote(error) => {
                matches!(error.fault, Fault::Unreachable | Fault::NoCredentials | Fault::Expired)
            }
            _ => false,
        }
    }
}

impl Hint for PipelineError {
    fn hint(&self) -> Option<&str> {
        match self {
            PipelineError::Changed { .. } => Some(
                "the lake keeps the rows that it has; to take the source as it is now, run again with --replace",
            ),
            PipelineError::Conflict { .. } => {
                Some("iotlake did not write it for this source: move it out of the lake, then run again")
            }
            PipelineError::Superseded { .. } => Some(
                "nothing is lost: that run completes the source; if it was stopped, run again when it has ended",
            ),
            PipelineError::Record { .. } => {
                Some("remove it, then ingest its source with --replace, which finds every file of the source")
            }
            PipelineError::Unbalanced { .. } => {
                Some("this is a bug in iotlake; please report it with the source")
            }
            PipelineError::Contended { .. } => Some("run again, with fewer runs at a time"),
            PipelineError::NoHour { .. } => {
                Some("say how keys tell their hour: --key-pattern, or IOTLAKE_KEY_PATTERN of the function")
            }
            PipelineError::NoTime { rows, zoneless, .. } if rows == zoneless => {
                Some("the times have no zone: say --assume-utc if they are UTC")
            }
            PipelineError::NoTime { .. } => {
                Some("to file such records under year=0000, say --allow-missing-time")
            }
            PipelineError::Stopped => Some("run again: what is done is not done twice"),
            PipelineError::Source { source, .. } => source.hint(),
            PipelineError::Unlisted { hint, .. } => hint.as_deref(),
            PipelineError::Decode { source, .. } => source.hint(),
            PipelineError::Storage(error) => error.hint(),
            PipelineError::Catalog(error) => error.hint(),
            PipelineError::Ledger(error) => error.hint(),
            PipelineError::Encode(_) => None,
        }
    }
}

impl From<Closed> for PipelineError {
    fn from(Closed: Closed) -> PipelineError {
        PipelineError::Stopped
    }
}

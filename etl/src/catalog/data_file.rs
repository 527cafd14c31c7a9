//! Files of data on their way into a catalog.
//!
//! In comes a file as it was encoded, and where it was put; out comes what a catalog is told of it. What must stay true:
//! all of it is known without the file being read again, and is what the file itself says.

use iotlake_flatten::{ColumnSummary, EncodedFile};

use crate::digest::Digest;
use crate::ledger::Output;
use crate::partition::Partition;

/// A file that lies in the lake, for [`super::Catalog::commit`].
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// Its key in the lake.
    pub key: String,
    /// The hour it is filed under.
    pub partition: Partition,
    /// Its number of rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// XXH3-128 of its bytes, in hexadecimal.
    pub digest: String,
    /// What is in its columns, in their order.
    pub columns: Vec<ColumnSummary>,
}

impl DataFile {
    /// The file `encoded`, which was put under `key`.
    pub fn new(key: String, partition: Partition, encoded: EncodedFile) -> DataFile {
        let EncodedFile { bytes, rows, columns } = encoded;
        DataFile { key, partition, rows, bytes: bytes.len() as u64, digest: Digest::of(&bytes), columns }
    }

    /// The file that a receipt names as `output`, with the columns that its footer tells.
    pub fn named(output: Output, partition: Partition, columns: Vec<ColumnSummary>) -> DataFile {
        let Output { key, bytes, rows, digest } = output;
        DataFile { key, partition, rows, bytes, digest, columns }
    }

    /// As a receipt names it.
    pub fn output(&self) -> Output {
        let DataFile { key, bytes, rows, digest, .. } = self;
        Output { key: key.clone(), bytes: *bytes, rows: *rows, digest: digest.clone() }
    }
}

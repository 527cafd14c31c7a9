//! What is recorded of an attempt before its first effect: one way to write a source.
//!
//! The bytes of outputs depend on the source as it is, on the options, on the declarations of the contract, and, where
//! bounds on keys decide what is a column, on the columns that the table had: declarations and columns are the *basis*. The
//! record fixes all of them; the columns once a part depends on them. Whoever goes on with the attempt reads with its
//! basis, whatever the table has become; whoever would write the source in another way supersedes it and begins the next
//! revision, under names that no other has.
//!
//! What must stay true: there is one record a revision, made by put-if-absent and changed by compare-and-swap only; a
//! record that is superseded never changes again; every key that an attempt may write is in its record before it is
//! written; the record of a newer revision names all those of the older ones.

use iotlake_flatten::{LAYOUT, Schema, TableColumn};
use serde::{Deserialize, Serialize};

use super::error::PipelineError;
use super::outcome::Remark;
use crate::digest::source_hash;
use crate::ledger::{LedgerError, ReceiptOptions};
use crate::storage::{ObjectMeta, Storage, StorageError};

/// Where records of attempts lie.
pub(crate) const ATTEMPTS: &str = "_iotlake/attempts";

/// The newest format of records that this version reads, and the one it writes.
const FORMAT: u64 = 1;

/// One way to write a source. Equal attempts write equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The length of the source as stored.
    pub(super) size: u64,
    /// Its version.
    pub(super) etag: Option<String>,
    /// The options that outputs depend on.
    pub(super) options: ReceiptOptions,
    /// The layout of outputs.
    pub(super) layout: u32,
}

impl Attempt {
    /// The attempt to write the source that was opened as `meta` under these options.
    pub(super) fn new(meta: &ObjectMeta, options: ReceiptOptions) -> Attempt {
        Attempt { size: meta.size, etag: meta.etag.clone(), options, layout: LAYOUT }
    }
}

/// How much of a table a source is read with: both only ever grow at their ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Basis {
    /// Columns of the table.
    pub(super) columns: usize,
    /// Declarations of its contract.
    pub(super) declared: usize,
}

impl Basis {
    pub(super) fn of(schema: &Schema) -> Basis {
        Basis { columns: schema.columns().len(), declared: schema.contract().columns.len() }
    }

    /// The schema as it was.
    pub(super) fn cut(self, schema: &Schema) -> Option<Schema> {
        schema.prefix(self.columns, self.declared)
    }
}

/// The record of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    format: u64,
    /// The name of the source.
    pub(super) source: String,
    /// The number of the attempt among those of the source that were not equal.
    pub(super) revision: u32,
    #[serde(flatten)]
    pub(super) attempt: Attempt,
    /// Of the basis, the declarations.
    pub(super) declared: usize,
    /// Of the basis, the columns, once a part depends on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) columns: Option<usize>,
    /// Whether a newer attempt was begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) superseded: bool,
    /// Every key that this attempt may have written.
    pub(super) keys: Vec<String>,
    /// Every key that earlier ones may have written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replaced: Vec<String>,
}

impl Record {
    pub(super) fn new(source: &str, revision: u32, attempt: Attempt, declared: usize) -> Record {
        Record {
            format: FORMAT,
            source: source.to_owned(),
            revision,
            attempt,
            declared,
            columns: None,
            superseded: false,
            keys: Vec::new(),
            replaced: Vec::new(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record has text keys and integers");
        bytes.push(b'\n');
        bytes
    }

    /// The record under `key`, with its bytes; `None` if there is none.
    pub(super) fn read(storage: &dyn Storage, key: &str) -> Result<Option<(Record, Vec<u8>)>, PipelineError> {
        let Some(bytes) = storage.read(key)? else { return Ok(None) };
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(Record { format, .. }) if format > FORMAT => {
                Err(LedgerError::Newer { uri: storage.uri(key), format }.into())
            }
            Ok(record) => Ok(Some((record, bytes))),
            Err(source) => Err(PipelineError::Record { uri: storage.uri(key), source }),
        }
    }
}

/// The key of the record of a revision of the source `source_name`.
pub(super) fn key(table: &str, source_name: &str, revision: u32) -> String {
    format!("{ATTEMPTS}/{table}/{}-r{revision}.json", source_hash(source_name))
}

/// The revisions of the source `source_name` that have a record, ascending.
pub(super) fn list(storage: &dyn Storage, table: &str, source_name: &str) -> Result<Vec<u32>, StorageError> {
    let prefix = format!("{ATTEMPTS}/{table}/{}-r", source_hash(source_name));
    let mut revisions = Vec::new();
    storage.list(&prefix, &mut |meta| {
        revisions
            .extend(meta.key[prefix.len()..].strip_suffix(".json").and_then(|word| word.parse::<u32>().ok()));
        Ok(())
    })?;
    revisions.sort_unstable();
    Ok(revisions)
}

/// The hashes of all sources of `table` that have a record.
pub(super) fn open(storage: &dyn Storage, table: &str) -> Result<Vec<String>, StorageError> {
    let prefix = format!("{ATTEMPTS}/{table}/");
    let mut hashes = Vec::new();
    storage.list(&prefix, &mut |meta| {
        hashes.extend(meta.key[prefix.len()..].split_once('-').map(|(hash, _)| hash.to_owned()));
        Ok(())
    })?;
    Ok(hashes)
}

/// In which way a source is tried, after what was found so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    /// Whether a record has to come first whatever the source turns out to be.
    pub(super) is_recorded: bool,
    /// The basis to read with, if not the table as it is.
    pub(super) basis: Option<Basis>,
    /// Whether the columns of the basis are those that count, whatever the table has become.
    pub(super) is_fixed: bool,
    /// The lowest revision that can be had.
    pub(super) at_least: u32,
    /// Columns that were registered on the way.
    pub(super) new_columns: Vec<TableColumn>,
    /// How often another writer changed the table first.
    pub(super) conflicts: u32,
    /// What a person should know.
    pub(super) remarks: Vec<Remark>,
}

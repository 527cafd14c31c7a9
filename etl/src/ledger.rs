//! The ledger: which sources are done.
//!
//! A source is done when its receipt is there, and only then: an output file may be all that a crash left of a run.
//! A receipt is put after every other effect: if there is none, or by compare-and-swap in place of one of a lower
//! revision. Its place depends on the name of the source alone, so that it is found whatever options a later run has.
//!
//! What must stay true: a receipt depends on the source, the table, the options and the revision, not on the run that
//! wrote it (no times, no order of arrival), so that a run that was killed and one that was not leave the same bytes; the
//! revision of the receipt of a source only grows; the files of a source are exactly those that its receipt names.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use iotlake_flatten::naming::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::catalog::Side;
pub use crate::digest::{Digest, source_hash};
use crate::error::Hint;
use crate::partition::{Partition, PartitionBy};
use crate::place::{FileName, Place};
use crate::source::KeyPattern;
use crate::storage::{Put, Storage, StorageError, Swap};

const RECEIPTS: &str = "_iotlake/receipts";

/// The newest format of receipts that this version reads, and the one it writes.
const FORMAT: u64 = 1;

/// How often a receipt is tried to be put while others change the one that is there.
const TRIES: u32 = 16;

/// That a source is done, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The format of this document; see [`Receipt::FORMAT`].
    pub format: u64,
    /// The name of the source.
    pub source: String,
    /// The version of the source that was read, where its storage has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The length of the source as stored, in bytes.
    pub size: u64,
    /// XXH3-128 of the source as stored, in hexadecimal.
    pub digest: String,
    /// The layout of the outputs.
    pub layout: u32,
    /// How many other ways to write the source were begun before: part of the names of the outputs.
    #[serde(default, skip_serializing_if = "is_first")]
    pub revision: u32,
    /// The options that the outputs depend on.
    pub options: ReceiptOptions,
    /// The data files, in the order of their keys.
    pub outputs: Vec<Output>,
    /// The files of rejects, in the order of their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Output>,
    /// What became of the records.
    pub counts: Counts,
    /// Keys of the files that earlier revisions may have had. They are removed once this receipt stands; a run that was
    /// stopped all the while may still write one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
}

fn is_first(revision: &u32) -> bool {
    *revision == 0
}

impl Receipt {
    /// The value of [`Receipt::format`] for receipts that this version writes.
    pub const FORMAT: u64 = FORMAT;
}

/// The options that the outputs of a source depend on, beside the schema of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptOptions {
    /// What decided the partition of a row.
    pub partition_by: PartitionBy,
    /// The hour that the key of the source told, if it did: the partition of its rows or only of its rejects.
    pub hour: Option<Partition>,
    /// The compression of the outputs: `snappy` or `zstd`.
    pub compression: String,
}

/// One file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its key in the lake.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its number of rows.
    pub rows: u64,
    /// XXH3-128 of its bytes, in hexadecimal.
    pub digest: String,
}

/// What can be told of a done source, without its receipt being read where the storage keeps notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// [`Receipt::size`].
    pub size: u64,
    /// [`Receipt::etag`].
    pub etag: Option<String>,
    /// When the receipt was written, if the storage knows.
    pub written: Option<SystemTime>,
    /// The receipt itself, if it was read.
    pub receipt: Option<Box<Receipt>>,
}

/// A receipt as it stands: readable, or why not.
pub type Standing = Result<Receipt, LedgerError>;

/// What [`Ledger::put`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The receipt stands.
    Stands,
    /// One of a higher revision stands; nothing was changed.
    Newer,
}

/// What became of the records of a source: `records = rows + rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Records found.
    pub records: u64,
    /// Records that became a row.
    pub rows: u64,
    /// Records that were rejected.
    pub rejected: u64,
    /// Values at paths that the contract ignores.
    pub ignored: u64,
    /// The length of the source decoded, in bytes.
    pub bytes_decoded: u64,
}

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
    #[error("cannot reach the ledger")]
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

/// The receipts of a lake.
#[derive(Debug, Clone)]
pub struct Ledger {
    storage: Arc<dyn Storage>,
}

impl Ledger {
    /// The ledger in `storage`; creates nothing.
    pub fn new(storage: Arc<dyn Storage>) -> Ledger {
        Ledger { storage }
    }

    /// What the keys of all receipts of `table` begin with.
    pub fn folder(table: &str) -> String {
        format!("{RECEIPTS}/{table}/")
    }

    /// The key of the receipt of the source `source_name` of `table`: by the day that the name tells, written as
    /// [`KeyPattern::default`] knows it.
    pub fn key(table: &str, source_name: &str) -> String {
        let hour = KeyPattern::default().hour(source_name).unwrap_or(Partition::UNKNOWN);
        format!("{RECEIPTS}/{table}/{}/{}.json", hour.day_folder(), source_hash(source_name))
    }

    /// Whether a source is done, in one look that reads nothing where the storage keeps notes.
    ///
    /// # Errors
    /// [`LedgerError::Collision`] if the receipt there is that of another source.
    pub fn look(&self, table: &str, source_name: &str) -> Result<Option<Note>, LedgerError> {
        let Some(meta) = self.storage.head(&Ledger::key(table, source_name))? else { return Ok(None) };
        let written = meta.modified;
        let noted = meta.note.as_deref().and_then(|note| read_note(note, source_name));
        if let Some((size, etag)) = noted {
            return Ok(Some(Note { size, etag, written, receipt: None }));
        }
        // Without a note, or with one that is not of this source, the receipt itself has the word.
        let receipt = self.head(table, source_name)?;
        Ok(receipt.map(|receipt| {
            let (size, etag) = (receipt.size, receipt.etag.clone());
            Note { size, etag, written, receipt: Some(Box::new(receipt)) }
        }))
    }

    /// The receipt of a source; `None` if it is not done.
    ///
    /// # Errors
    /// [`LedgerError::Collision`] if the receipt there is that of another source.
    pub fn head(&self, table: &str, source_name: &str) -> Result<Option<Receipt>, LedgerError> {
        self.standing(table, source_name)?.transpose()
    }

    /// As [`Ledger::head`], for whoever goes on where there is a receipt that cannot be read.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn standing(&self, table: &str, source_name: &str) -> Result<Option<Standing>, LedgerError> {
        let key = Ledger::key(table, source_name);
        Ok(self.storage.read(&key)?.map(|bytes| self.receipt_of(source_name, &key, &bytes)))
    }

    fn receipt_of(&self, source_name: &str, key: &str, bytes: &[u8]) -> Standing {
        let receipt = self.parse(key, bytes)?;
        if receipt.source != source_name {
            let (there, asked) = (receipt.source, source_name.to_owned());
            return Err(LedgerError::Collision { uri: self.storage.uri(key), there, asked });
        }
        Ok(receipt)
    }

    /// Notes that a source is done, in place of a receipt of a lower revision, or of one that cannot be read. An equal
    /// receipt that is there already is success.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] if one of the same revision is there and differs; nothing is changed.
    pub fn put(&self, table: &str, receipt: &Receipt) -> Result<Placed, LedgerError> {
        let key = Ledger::key(table, &receipt.source);
        let mut bytes = serde_json::to_vec_pretty(receipt).expect("a receipt has text keys and integers");
        bytes.push(b'\n');
        let create = || match receipt.strays(table).is_empty() {
            true => self.storage.put_noted(&key, &bytes, &note_of(receipt)),
            // A note would keep whoever comes later from reading what to look for.
            false => self.storage.put_if_absent(&key, &bytes),
        };
        // Of a first revision there mostly is none; of a later one there mostly is.
        if receipt.revision == 0 && create()? == Put::Created {
            return Ok(Placed::Stands);
        }
        for _ in 0..TRIES {
            let Some(there) = self.storage.read(&key)? else {
                match create()? {
                    Put::Created => return Ok(Placed::Stands),
                    Put::AlreadyThere => continue,
                }
            };
            match self.receipt_of(&receipt.source, &key, &there) {
                Ok(standing) if standing.revision > receipt.revision => return Ok(Placed::Newer),
                Ok(standing) if standing.revision == receipt.revision => {
                    return match standing.difference(receipt) {
                        None => Ok(Placed::Stands),
                        Some(difference) => self.conflict(&key, receipt, &difference),
                    };
                }
                Ok(_) | Err(LedgerError::Damaged { .. }) if receipt.revision > 0 => {
                    if self.storage.compare_and_swap(&key, Some(&there), &bytes)? == Swap::Done {
                        return Ok(Placed::Stands);
                    }
                }
                other => return other.map(|_| Placed::Newer),
            }
        }
        self.conflict(&key, receipt, "other runs changed it every time")
    }

    /// Shows every receipt of a table, by day. An error of `visit` ends the listing and is returned.
    ///
    /// # Errors
    /// If a receipt cannot be read, or as `visit`.
    pub fn list<E: From<LedgerError>>(
        &self,
        table: &str,
        mut visit: impl FnMut(Receipt) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = None;
        let listed = self.storage.list_while(&Ledger::folder(table), &mut |meta| {
            let Some(bytes) = self.storage.read(&meta.key)? else { return Ok(ControlFlow::Continue(())) };
            failed = self.parse(&meta.key, &bytes).map_err(E::from).and_then(&mut visit).err();
            Ok(if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        match failed {
            Some(error) => Err(error),
            None => listed.map_err(|error| E::from(error.into())),
        }
    }

    /// The receipt that these bytes are.
    pub(crate) fn parse(&self, key: &str, bytes: &[u8]) -> Result<Receipt, LedgerError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let damaged = |source| LedgerError::Damaged { uri: self.storage.uri(key), source };
        let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(LedgerError::Newer { uri: self.storage.uri(key), format });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    fn conflict(&self, key: &str, receipt: &Receipt, difference: &str) -> Result<Placed, LedgerError> {
        let (source_name, difference) = (receipt.source.clone(), difference.to_owned());
        Err(LedgerError::Conflict { uri: self.storage.uri(key), source_name, difference })
    }
}

/// The key that every attempt of one part has first where rows are filed by arrival, on one side of its table.
pub(crate) fn first_key(table: &str, source_name: &str, hour: Option<Partition>, side: Side) -> String {
    let name = FileName { hash: source_hash(source_name), part: 0, revision: 0 };
    Place { side, partition: hour.unwrap_or(Partition::UNKNOWN), name }.key(table)
}

/// The note of a receipt: format, size, etag or `-`, and the SHA-256 of the name, which itself may be too long.
fn note_of(receipt: &Receipt) -> String {
    let etag = receipt.etag.as_deref().filter(|etag| is_word(etag)).unwrap_or("-");
    format!("1 {} {etag} {}", receipt.size, name_hash(&receipt.source))
}

/// Size and etag from the note on the receipt of the source `source_name`; `None` if it is not one.
fn read_note(note: &str, source_name: &str) -> Option<(u64, Option<String>)> {
    let mut words = note.split(' ');
    let (format, size, etag) = (words.next()?, words.next()?, words.next()?);
    let is_ours = format == "1" && words.next()? == name_hash(source_name) && words.next().is_none();
    let etag = (etag != "-").then(|| etag.to_owned());
    is_ours.then_some((size.parse().ok()?, etag))
}

fn is_word(text: &str) -> bool {
    (2..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn name_hash(source_name: &str) -> String {
    hexadecimal(&Sha256::digest(source_name))
}

impl Receipt {
    /// Whether the file under `key` is one of the source's.
    pub fn names(&self, key: &str) -> bool {
        self.outputs.iter().chain(&self.rejects).any(|output| output.key == key)
    }

    /// Keys under which a run that was stopped long ago may still leave a file, which is none of the source's: those of
    /// earlier revisions, and those that every attempt of one part touches first, where this one did not.
    pub fn strays(&self, table: &str) -> Vec<String> {
        let mut strays = self.replaced.clone();
        let first = |side| first_key(table, &self.source, self.options.hour, side);
        if self.options.partition_by == PartitionBy::Arrival && !self.names(&first(Side::Rows)) {
            strays.extend(Side::BOTH.map(first).into_iter().filter(|key| !self.names(key)));
        }
        strays.sort_unstable();
        strays.dedup();
        strays
    }

    /// The first thing in which `other`, a receipt of the same source, differs from this one, for messages.
    pub fn difference(&self, other: &Receipt) -> Option<String> {
        fn show(value: &impl Serialize) -> String {
            serde_json::to_string(value).expect("parts of a receipt are JSON")
        }
        macro_rules! compare {
            ($($field:ident).+, $name:literal) => {
                if self.$($field).+ != other.$($field).+ {
                    let (there, ours) = (show(&self.$($field).+), show(&other.$($field).+));
                    return Some(format!("{} was {there} and is {ours} now", $name));
                }
            };
        }
        compare!(size, "its size");
        compare!(digest, "the digest of its bytes");
        compare!(etag, "its etag");
        compare!(layout, "the layout");
        compare!(revision, "the revision");
        compare!(options.partition_by, "partition-by");
        compare!(options.hour, "the hour in its key");
        compare!(options.compression, "the compression");
        compare!(counts, "what became of its records");
        let outputs = |receipt: &Receipt| [&receipt.outputs[..], &receipt.rejects[..]].concat();
        let (there, ours) = (outputs(self), outputs(other));
        if there == ours {
            return (self != other).then(|| "the receipts differ".to_owned());
        }
        let changed = there.iter().zip(&ours).find(|(a, b)| a != b);
        Some(match changed {
            Some((there, _)) => format!("output {} is not the same", there.key),
            None => format!("there were {} outputs and are {} now", there.len(), ours.len()),
        })
    }
}

#[cfg(test)]
mod tests;

//! The ledger: which sources are done.
//!
//! A source is done when its receipt is there, and only then: an output file may be all that a crash left of a run.
//! A receipt is put after every other effect: if there is none, or by compare-and-swap in place of one of a lower
//! revision. Its place depends on the name of the source alone, so that it is found whatever options a later run has.
//!
//! What must stay true: a receipt depends on the source, the table, the options and the revision, not on the run that
//! wrote it (no times, no order of arrival), so that a run that was killed and one that was not leave the same bytes; the
//! revision of the receipt of a source only grows; the files of a source are exactly those that its receipt names; before
//! a receipt of a later revision stands it is marked for ever that the source has one, so that who lists receipts and files
//! knows of which sources names alone do not tell which files are theirs.
//!
//! A source that was begun, never completed and then given up has a document of its own kind in the place of its receipt: it
//! names nothing and is no receipt, but as one of a later revision it keeps whoever still writes the source from putting
//! theirs, which would name files that are gone. Who begins anew swaps it for a receipt.

mod error;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use iotlake_flatten::LAYOUT;
use iotlake_flatten::naming::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::catalog::Side;
pub use crate::digest::{Digest, source_hash};
pub use error::LedgerError;

use crate::partition::{Partition, PartitionBy};
use crate::place::{FileName, Place};
use crate::source::KeyPattern;
use crate::storage::{Put, Storage, Swap};

const RECEIPTS: &str = "_iotlake/receipts";

/// Where it stands which sources were written in more than one way.
const REPLACED: &str = "_iotlake/replaced";

/// The newest format of receipts that this version reads.
const FORMAT: u64 = Receipt::GIVEN_UP;

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
    /// Whether this says that the source was given up: it is not done, and has no files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
}

fn is_first(revision: &u32) -> bool {
    *revision == 0
}

impl Receipt {
    /// The value of [`Receipt::format`] of sources that are done.
    pub const FORMAT: u64 = 1;

    /// The value of [`Receipt::format`] of sources that were given up, which older versions would take for done.
    pub const GIVEN_UP: u64 = 2;

    /// That the source `source_name` was given up, in place of all revisions below this one and of the files under `replaced`.
    pub fn given_up(source_name: &str, revision: u32, replaced: Vec<String>) -> Receipt {
        Receipt {
            format: Receipt::GIVEN_UP,
            source: source_name.to_owned(),
            etag: None,
            size: 0,
            digest: String::new(),
            layout: LAYOUT,
            revision,
            options: ReceiptOptions {
                partition_by: PartitionBy::default(),
                hour: KeyPattern::default().hour(source_name),
                compression: String::new(),
            },
            outputs: Vec::new(),
            rejects: Vec::new(),
            counts: Counts::default(),
            replaced,
            given_up: true,
        }
    }
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

/// That a source has, or is about to have, a receipt of a later revision.
#[derive(Serialize, Deserialize)]
struct Replaced {
    format: u64,
    source: String,
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

impl Note {
    /// Whether the source was given up, and so is not done.
    pub fn is_given_up(&self) -> bool {
        self.receipt.as_ref().is_some_and(|receipt| receipt.given_up)
    }
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

    /// Whether a source is done, in one look that reads nothing where the storage keeps notes. Of one that was given up
    /// the note has the document that says so.
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
        let receipt = self.standing(table, source_name)?.transpose()?;
        Ok(receipt.map(|receipt| {
            let (size, etag) = (receipt.size, receipt.etag.clone());
            Note { size, etag, written, receipt: Some(Box::new(receipt)) }
        }))
    }

    /// The receipt of a source; `None` if it is not done, or was given up.
    ///
    /// # Errors
    /// [`LedgerError::Collision`] if the receipt there is that of another source.
    pub fn head(&self, table: &str, source_name: &str) -> Result<Option<Receipt>, LedgerError> {
        Ok(self.standing(table, source_name)?.transpose()?.filter(|receipt| !receipt.given_up))
    }

    /// What stands in the place of the receipt of a source, for whoever goes on where it cannot be read, or was given up.
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
        let create = || match receipt.strays(table).is_empty() && !receipt.given_up {
            true => self.storage.put_noted(&key, &bytes, &note_of(receipt)),
            // A note would keep whoever comes later from reading what to look for.
            false => self.storage.put_if_absent(&key, &bytes),
        };
        if receipt.revision > 0 {
            self.mark_replaced(table, &receipt.source)?;
        }
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
                // A source that is done is not given up, and one that was given up needs not be so again.
                Ok(standing) if receipt.given_up && !standing.given_up => return Ok(Placed::Newer),
                Ok(standing) if receipt.given_up && standing.revision >= receipt.revision => {
                    return Ok(Placed::Stands);
                }
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

    /// Gives a source up, done or not, with the files under `keys`: in the place of its receipt stands that it is, in a
    /// revision that is at least `least` and above that of the receipt. Whoever still writes it cannot put a receipt any
    /// more, and whoever begins anew takes names that nobody had. The revision in which it was given up.
    ///
    /// # Errors
    /// [`LedgerError::Collision`] if the receipt there is that of another source; [`LedgerError::Conflict`] if others
    /// change it every time.
    pub(crate) fn withdraw(
        &self,
        table: &str,
        source_name: &str,
        least: u32,
        keys: &[String],
    ) -> Result<u32, LedgerError> {
        let key = Ledger::key(table, source_name);
        self.mark_replaced(table, source_name)?;
        let mut given_up = Receipt::given_up(source_name, least.max(1), keys.to_vec());
        for _ in 0..TRIES {
            let there = self.storage.read(&key)?;
            match there.as_ref().map(|bytes| self.receipt_of(source_name, &key, bytes)) {
                Some(Ok(standing)) if standing.given_up && standing.revision >= least => {
                    return Ok(standing.revision);
                }
                Some(Ok(standing)) => {
                    given_up.revision = given_up.revision.max(standing.revision + 1);
                    let named = standing.outputs.iter().chain(&standing.rejects).map(|output| &output.key);
                    let named: BTreeSet<String> =
                        named.chain(keys).chain(&standing.replaced).cloned().collect();
                    given_up.replaced = named.into_iter().collect();
                }
                Some(Err(LedgerError::Damaged { .. })) | None => {}
                Some(Err(error)) => return Err(error),
            }
            let mut bytes =
                serde_json::to_vec_pretty(&given_up).expect("a receipt has text keys and integers");
            bytes.push(b'\n');
            if self.storage.compare_and_swap(&key, there.as_deref(), &bytes)? == Swap::Done {
                return Ok(given_up.revision);
            }
        }
        let conflict = self.conflict(&key, &given_up, "other runs changed it every time");
        conflict.map(|_| given_up.revision)
    }

    /// Removes what stands for sources of `table` that were given up, once the table itself is gone, and their marks.
    pub(crate) fn forget(&self, table: &str) -> Result<(), LedgerError> {
        let mut keys = Vec::new();
        for folder in [format!("{REPLACED}/{table}/"), Ledger::folder(table)] {
            self.storage.list(&folder, &mut |meta| {
                keys.push(meta.key);
                Ok(())
            })?;
        }
        for key in keys {
            let is_mark = key.starts_with(REPLACED);
            let is_given_up = || -> Result<bool, LedgerError> {
                let Some(bytes) = self.storage.read(&key)? else { return Ok(false) };
                Ok(self.parse(&key, &bytes).is_ok_and(|receipt| receipt.given_up))
            };
            if is_mark || is_given_up()? {
                self.storage.delete(&key)?;
            }
        }
        Ok(())
    }

    /// Marks a source that is about to have a receipt of a later revision.
    fn mark_replaced(&self, table: &str, source_name: &str) -> Result<(), LedgerError> {
        let mut bytes =
            serde_json::to_vec_pretty(&Replaced { format: Receipt::FORMAT, source: source_name.to_owned() })
                .expect("a mark has text keys");
        bytes.push(b'\n');
        let key = format!("{REPLACED}/{table}/{}.json", source_hash(source_name));
        self.storage.put_if_absent(&key, &bytes)?;
        Ok(())
    }

    /// The name of a source of this hash that [`Ledger::replaced`] tells of.
    pub(crate) fn replaced_name(&self, table: &str, hash: &str) -> Result<Option<String>, LedgerError> {
        let key = format!("{REPLACED}/{table}/{hash}.json");
        let Some(bytes) = self.storage.read(&key)? else { return Ok(None) };
        let damaged = |source| LedgerError::Damaged { uri: self.storage.uri(&key), source };
        let Replaced { source, .. } = serde_json::from_slice(&bytes).map_err(damaged)?;
        Ok(Some(source))
    }

    /// The hashes of the sources of `table` that have, or may soon have, a receipt of a later revision.
    pub(crate) fn replaced(&self, table: &str) -> Result<BTreeSet<String>, LedgerError> {
        let folder = format!("{REPLACED}/{table}/");
        let mut hashes = BTreeSet::new();
        self.storage.list(&folder, &mut |meta| {
            hashes.extend(meta.key[folder.len()..].strip_suffix(".json").map(str::to_owned));
            Ok(())
        })?;
        Ok(hashes)
    }

    /// Shows every receipt of a table, by day; sources that were given up have none. An error of `visit` ends the listing and is returned.
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
            let mut show = |receipt: Receipt| if receipt.given_up { Ok(()) } else { visit(receipt) };
            failed = self.parse(&meta.key, &bytes).map_err(E::from).and_then(&mut show).err();
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
    /// The keys of the source's files.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().chain(&self.rejects).map(|output| output.key.as_str())
    }

    /// Whether the file under `key` is one of the source's.
    pub fn names(&self, key: &str) -> bool {
        self.keys().any(|named| named == key)
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

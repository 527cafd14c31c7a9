//! Generations: what a partition shows once its many small files were made a few large ones.
//!
//! A generation is a manifest ([`Manifest`]) and the files it names. The manifest is put if there is none of its number,
//! and is the commit: the one with the highest number says what its partition shows. This module knows where manifests lie
//! and what follows from them for readers; [`crate::compact`] makes them.
//!
//! What must stay true: a manifest never changes, numbers have no gaps; **the receipt is the switch**: in a partition a reader
//! sees of a source what its receipt names, once. Where the newest manifest contains just these files, its rows are read in
//! the files of the generation; else they are read in the files themselves, and what the generation has of the source
//! is not read. So a source is replaced, or removed, for readers by receipts in all its partitions at once, whatever
//! generations still show.

mod manifest;
pub mod place;

pub(crate) use manifest::rows_of;
pub use manifest::{Cause, GenerationOptions, Manifest};
pub use place::Folder;

use crate::digest::Digest;
use crate::error::Hint;
use crate::partition::Partition;
use crate::storage::{ObjectMeta, Put, Storage, StorageError};

const GENERATIONS: &str = "_iotlake/generations";

/// Of the object that says that somebody may be at a number.
const BEGUN: &str = ".begun";
const MANIFEST: &str = ".json";

/// Digits of a number in a key, so that keys sort as numbers do.
const DIGITS: usize = 8;

/// Why generations cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// A manifest in a format that this version does not know.
    #[error("{uri}: written by a newer iotlake (format {format}; this one knows {})", manifest::FORMAT)]
    Newer {
        /// The manifest.
        uri: String,
        /// Its format.
        format: u64,
    },
    /// An object that is no manifest, or says what cannot be.
    #[error("{uri}: not the manifest of a generation: {reason}")]
    Damaged {
        /// The object.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The storage below failed.
    #[error("cannot reach the generations")]
    Storage(#[from] StorageError),
}

impl Hint for GenerationError {
    fn hint(&self) -> Option<&str> {
        match self {
            GenerationError::Newer { .. } => Some("upgrade iotlake"),
            GenerationError::Damaged { .. } => {
                Some("manifests never change: somebody else changed it; take it from a backup of the lake")
            }
            GenerationError::Storage(error) => error.hint(),
        }
    }
}

/// What there is of a partition's generations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Numbers {
    /// The manifests, by number.
    pub manifests: Vec<(u32, ObjectMeta)>,
    /// The numbers that somebody began.
    pub begun: Vec<u32>,
}

impl Numbers {
    /// The number of the newest manifest; 0 if there is none.
    pub fn newest(&self) -> u32 {
        self.manifests.last().map_or(0, |(number, _)| *number)
    }

    /// Whether somebody may be at a number that is not committed.
    pub fn is_open(&self) -> bool {
        self.begun.iter().any(|number| *number > self.newest())
    }
}

/// The generations of a lake.
#[derive(Debug, Clone, Copy)]
pub struct Generations<'a> {
    storage: &'a dyn Storage,
}

impl<'a> Generations<'a> {
    /// The generations in `storage`; creates nothing.
    pub fn new(storage: &'a dyn Storage) -> Generations<'a> {
        Generations { storage }
    }

    /// What the keys of all manifests of `table` begin with.
    pub fn folder(table: &str) -> String {
        format!("{GENERATIONS}/{table}/")
    }

    fn key(table: &str, partition: Partition, number: u32, extension: &str) -> String {
        let folder = partition.folder();
        format!("{GENERATIONS}/{table}/{folder}/{number:0DIGITS$}{extension}")
    }

    /// The key of a manifest.
    pub fn manifest_key(table: &str, partition: Partition, number: u32) -> String {
        Generations::key(table, partition, number, MANIFEST)
    }

    /// The manifest that `key` is of: its partition and number.
    pub fn parse_key(table: &str, key: &str) -> Option<(Partition, u32)> {
        let rest = key.strip_prefix(&Generations::folder(table))?;
        let (folder, name) = rest.rsplit_once('/')?;
        let (partition, number) =
            (Partition::from_folder(folder)?, name.strip_suffix(MANIFEST)?.parse().ok()?);
        (Generations::manifest_key(table, partition, number) == key).then_some((partition, number))
    }

    /// What there is of a partition's generations, by one listing.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn numbers(&self, table: &str, partition: Partition) -> Result<Numbers, StorageError> {
        let prefix = format!("{GENERATIONS}/{table}/{}/", partition.folder());
        let mut numbers = Numbers::default();
        self.storage.list(&prefix, &mut |meta| {
            let name = &meta.key[prefix.len()..];
            if let Some((_, number)) = Generations::parse_key(table, &meta.key) {
                numbers.manifests.push((number, meta));
            } else if let Some(number) = name.strip_suffix(BEGUN).and_then(|number| number.parse().ok()) {
                numbers.begun.push(number);
            }
            Ok(())
        })?;
        Ok(numbers)
    }

    /// The number of the newest manifest of every partition of a table whose folder begins with `folder`, by partition.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn newest_of(&self, table: &str, folder: &str) -> Result<Vec<(Partition, u32)>, StorageError> {
        let mut newest: Vec<(Partition, u32)> = Vec::new();
        self.storage.list(&format!("{GENERATIONS}/{table}/{folder}"), &mut |meta| {
            if let Some((partition, number)) = Generations::parse_key(table, &meta.key) {
                match newest.last_mut() {
                    Some(last) if last.0 == partition => last.1 = number,
                    _ => newest.push((partition, number)),
                }
            }
            Ok(())
        })?;
        Ok(newest)
    }

    /// The manifest of this number, with its bytes.
    ///
    /// # Errors
    /// If it is not there, or as [`Manifest::parse`].
    pub fn read(&self, table: &str, partition: Partition, number: u32) -> Result<Held, GenerationError> {
        let key = Generations::manifest_key(table, partition, number);
        let uri = self.storage.uri(&key);
        let bytes = self.storage.read(&key)?.ok_or_else(|| StorageError::NotFound { uri: uri.clone() })?;
        let manifest = Manifest::parse(&uri, table, partition, number, &bytes)?;
        Ok(Held { digest: Digest::of(&bytes), manifest })
    }

    /// The newest manifest of a partition; `None` if it has none.
    ///
    /// # Errors
    /// If one cannot be listed or read.
    pub fn latest(&self, table: &str, partition: Partition) -> Result<Option<Manifest>, GenerationError> {
        match self.numbers(table, partition)?.newest() {
            0 => Ok(None),
            number => Ok(Some(self.read(table, partition, number)?.manifest)),
        }
    }

    /// Whether there is a manifest of this number.
    pub(crate) fn is_there(
        &self,
        table: &str,
        partition: Partition,
        number: u32,
    ) -> Result<bool, StorageError> {
        Ok(self.storage.head(&Generations::manifest_key(table, partition, number))?.is_some())
    }

    /// Says that somebody may be at this number. Before receipts are read for it: whoever changes a receipt looks for this
    /// afterwards, so that one of the two sees the other.
    pub(crate) fn begin(&self, table: &str, partition: Partition, number: u32) -> Result<(), StorageError> {
        self.storage.put_if_absent(&Generations::key(table, partition, number, BEGUN), b"{}\n").map(|_| ())
    }

    /// Nobody is at this number any more: it is committed, or nothing was done.
    pub(crate) fn end(&self, table: &str, partition: Partition, number: u32) -> Result<(), StorageError> {
        self.storage.delete(&Generations::key(table, partition, number, BEGUN))
    }

    /// Commits a generation, unless its number is taken by another one; whether it stands.
    pub(crate) fn commit(&self, manifest: &Manifest) -> Result<bool, StorageError> {
        let Manifest { table, partition, number, .. } = manifest;
        let key = Generations::manifest_key(table, *partition, *number);
        let bytes = manifest.to_bytes();
        Ok(self.storage.put_if_absent(&key, &bytes)? == Put::Created
            || self.storage.read(&key)?.is_some_and(|there| there == bytes))
    }
}

/// A manifest as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The manifest.
    pub manifest: Manifest,
    /// XXH3-128 of its bytes.
    pub digest: String,
}

//! The manifest of a generation: what a partition shows, and of which files its rows are.
//!
//! In come the bytes of a document; out comes a [`Manifest`] that agrees with itself and with its place, or an error. What
//! must stay true: a document depends on nothing but what the generation was made of (no times); it names every file of
//! a source whose rows it shows, so that the newest alone says which those are; it shows as many rows as these files
//! have.

use std::collections::{BTreeMap, HashSet};

use iotlake_flatten::Path;
use iotlake_flatten::naming::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::GenerationError;
use super::place::{self, Folder};
use crate::catalog::Side;
use crate::ledger::Output;
use crate::partition::Partition;
use crate::place::Place;

/// The newest format of manifests that this version reads, and the one it writes.
pub(super) const FORMAT: u64 = 1;

/// What a partition shows, from this generation on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of this document.
    pub format: u64,
    /// Its table.
    pub table: String,
    /// Its partition.
    pub partition: Partition,
    /// Its number: 1 for the first of the partition, then without gaps.
    pub number: u32,
    /// XXH3-128 of the manifest before it; `None` for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// What wrote the files: bytes of one generation are those of one version.
    pub writer: String,
    /// The options that the files depend on.
    pub options: GenerationOptions,
    /// The name of the folder that the partition shows. `None` if it shows nothing but what sources became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The files of sources whose rows are shown, by key: those of all generations before, too.
    pub contains: Vec<Output>,
    /// The files that show them, by key.
    pub outputs: Vec<Output>,
    /// Rows that the generation before showed and this one does not, by cause.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<Cause, u64>,
}

/// What the files of a generation depend on, beside the files that they were made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationOptions {
    /// The paths that rows are sorted by, before source and record.
    pub sort: Vec<Path>,
    /// The compression of pages: `snappy` or `zstd`.
    pub compression: String,
    /// How many columns the table had.
    pub columns: usize,
    /// The most bytes of a file.
    pub file_bytes: u64,
}

/// Why rows are not shown any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Their source was ingested anew.
    Replaced,
}

impl Manifest {
    /// The value of [`Manifest::format`] for manifests that this version writes.
    pub const FORMAT: u64 = FORMAT;

    /// The document.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has text keys and integers");
        bytes.push(b'\n');
        bytes
    }

    /// The manifest that `bytes`, found at `uri`, are: number `number` of a partition.
    ///
    /// # Errors
    /// [`GenerationError::Newer`] or [`GenerationError::Damaged`].
    pub fn parse(
        uri: &str,
        table: &str,
        partition: Partition,
        number: u32,
        bytes: &[u8],
    ) -> Result<Manifest, GenerationError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let damaged = |reason: String| GenerationError::Damaged { uri: uri.to_owned(), reason };
        let Format { format } = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if format > FORMAT {
            return Err(GenerationError::Newer { uri: uri.to_owned(), format });
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if (&*manifest.table, manifest.partition, manifest.number) != (table, partition, number) {
            let Manifest { table, partition, number, .. } = manifest;
            return Err(damaged(format!("it is number {number} of {partition} of table `{table}`")));
        }
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    /// What is wrong with it by itself.
    fn check(&self) -> Result<(), String> {
        let Manifest { table, partition, number, previous, folder, contains, outputs, .. } = self;
        if *number == 0 || (*number == 1) != previous.is_none() {
            return Err(format!("number {number} does not go with what it says of the one before"));
        }
        for (what, files) in [("contains", contains), ("outputs", outputs)] {
            if files.windows(2).any(|pair| pair[0].key >= pair[1].key) {
                return Err(format!("`{what}` is not in the order of its keys"));
            }
        }
        for file in contains {
            let place = Place::parse(table, &file.key);
            if place.is_none_or(|place| (place.side, place.partition) != (Side::Rows, *partition)) {
                return Err(format!("{} is no file of a source in this partition", file.key));
            }
        }
        let folder = match folder {
            None => None,
            Some(name) => match Folder::named(*partition, name) {
                Some(folder) if folder.number <= *number => Some(folder),
                _ => return Err(format!("`{name}` is no folder of this generation or of one before it")),
            },
        };
        for file in outputs {
            if folder.is_none() || place::parse(table, &file.key) != folder {
                return Err(format!("{} does not lie in its folder", file.key));
            }
        }
        let (rows, shown) = (rows_of(contains), rows_of(outputs));
        if rows != shown {
            return Err(format!("the files of sources have {rows} rows, and it shows {shown}"));
        }
        Ok(())
    }

    /// What decides the content of the files: a digest of everything but them.
    pub fn plan(&self) -> String {
        let decides = Manifest { folder: None, outputs: Vec::new(), ..self.clone() };
        hexadecimal(&Sha256::digest(decides.to_bytes())[..8])
    }

    /// Its folder; `None` if it shows nothing but what sources became.
    pub fn folder(&self) -> Option<Folder> {
        Folder::named(self.partition, self.folder.as_deref()?)
    }

    /// The location of the partition below the folder of its table.
    pub fn location(&self) -> String {
        self.folder().map_or_else(|| self.partition.folder(), |folder| folder.path())
    }

    /// Rows that it shows.
    pub fn rows(&self) -> u64 {
        rows_of(&self.outputs)
    }

    /// The hashes of the sources whose rows it shows. A source is in it with all of its files in the partition, or with
    /// none: of one that is, nothing else is shown.
    pub fn sources(&self) -> HashSet<String> {
        self.contains
            .iter()
            .filter_map(|file| Some(Place::parse(&self.table, &file.key)?.name.hash))
            .collect()
    }
}

pub(crate) fn rows_of(files: &[Output]) -> u64 {
    files.iter().map(|file| file.rows).sum()
}

#[cfg(test)]
mod tests;

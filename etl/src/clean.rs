//! Taking away what no reader should see: files that the receipt of their source does not name and, if asked, files of
//! sources that were never completed.
//!
//! In comes a lake; out comes what can be taken away, and what cannot and why. Nothing is removed before [`remove`] is
//! called, and then only what still stands as it was found.
//!
//! What must stay true: a file is removed only if its name carries the hash of a source, its own footer names that very
//! source, and it lies below the table of that source. Of a source with a receipt, if that, read again just before,
//! neither names the file nor is of an earlier revision than it: so it is not what a running replacement has written. Of
//! a source without one, only if it was last changed before the time that is said and the source was given up: whoever
//! still writes it, or would complete it with the files that are there, cannot put a receipt any more that names them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::audit::{Unclaimed, unclaimed};
use crate::digest::source_hash;
use crate::error::Error;
use crate::lake::Lake;
use crate::ledger::{Placed, Receipt};
use crate::pipeline::abandon;
use crate::storage::Storage;

/// A file that can be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Its key.
    pub key: String,
    /// The table of its source.
    pub table: String,
    /// Its source.
    pub source: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// The number of the way in which the source was written, by its name.
    pub revision: u32,
    /// Whether its source has a receipt; else it was never completed.
    pub is_done: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// What can be taken away, by key.
    pub stale: Vec<Stale>,
    /// What no receipt names either and stays, by key, with the reason.
    pub left: Vec<(String, String)>,
}

/// Looks for files that no receipt names. Those of sources without a receipt can be taken away if they were last changed
/// before `unfinished`.
///
/// # Errors
/// If the storage or the catalog cannot be read.
pub fn find(lake: &Lake, unfinished: Option<SystemTime>) -> Result<Found, Error> {
    let mut found = Found::default();
    let tables: BTreeSet<String> = lake.catalog.tables()?.into_iter().collect();
    for file in unclaimed(&*lake.storage, &tables)? {
        let Unclaimed { key, table, bytes, modified, revision, hash, source, receipt } = file;
        let is_old = unfinished.zip(modified).is_some_and(|(before, modified)| modified < before);
        let reason = match (hash, source, receipt) {
            (None, ..) => "no file of iotlake is named so: move it out of the lake",
            (_, None, _) => "its footer cannot be read: look at it, and remove it by hand",
            (Some(hash), Some(source), _) if hash != source_hash(&source) => {
                "its name is not that of its source: move it out of the lake"
            }
            (_, Some(source), None) if is_old => {
                found.stale.push(Stale { key, table, source, bytes, revision, is_done: false });
                continue;
            }
            (_, _, None) if unfinished.is_some() => {
                "its source is not done, and it is younger than a day: a run may be writing it"
            }
            (_, _, None) => {
                "its source is not done: ingest it again, which completes it, or remove it with --unfinished"
            }
            (_, _, Some(receipt)) if receipt < revision => {
                "its source is being ingested anew: if that run was killed, ingest the source again, which completes it"
            }
            (_, Some(source), Some(_)) => {
                found.stale.push(Stale { key, table, source, bytes, revision, is_done: true });
                continue;
            }
        };
        found.left.push((key, reason.to_owned()));
    }
    Ok(found)
}

/// Removes files, unless their source was written meanwhile; which they were.
///
/// # Errors
/// If a receipt or a record cannot be read, or a file not removed; those before it are.
pub fn remove<'a>(lake: &Lake, stale: &'a [Stale]) -> Result<Vec<&'a Stale>, Error> {
    let mut unfinished: BTreeMap<(&str, &str), Vec<&Stale>> = BTreeMap::new();
    for file in stale.iter().filter(|file| !file.is_done) {
        unfinished.entry((&file.table, &file.source)).or_default().push(file);
    }
    let mut removed = Vec::new();
    for file in stale.iter().filter(|file| file.is_done) {
        if is_unnamed(lake, file)? {
            lake.storage.delete(&file.key)?;
            removed.push(file);
        }
    }
    for ((table, source), files) in unfinished {
        if give_up(lake, table, source, &files)? {
            for file in files {
                lake.storage.delete(&file.key)?;
                removed.push(file);
            }
            abandon::forget(&*lake.storage, table, source)?;
        }
    }
    removed.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(removed)
}

/// Whether the receipt of a source that is done still does not name a file.
fn is_unnamed(lake: &Lake, file: &Stale) -> Result<bool, Error> {
    let receipt = lake.ledger().head(&file.table, &file.source)?;
    Ok(receipt.is_some_and(|receipt| !receipt.names(&file.key)))
}

/// Gives up on a source that has these files and no receipt; whether it was not done, and nobody wrote it, meanwhile.
fn give_up(lake: &Lake, table: &str, source: &str, files: &[&Stale]) -> Result<bool, Error> {
    // So that whoever still writes stops at its next effect; then so that it is too late for a receipt.
    let Some(next) = abandon::fence(&*lake.storage, table, source)? else { return Ok(false) };
    let revision = files.iter().map(|file| file.revision + 1).fold(next.max(1), u32::max);
    let keys = files.iter().map(|file| file.key.clone()).collect();
    let given_up = Receipt::given_up(source, revision, keys);
    Ok(lake.ledger().put(table, &given_up)? == Placed::Stands)
}

/// Removes temporary files that nobody writes any more; which they were.
///
/// # Errors
/// If the storage fails.
pub fn sweep(storage: &dyn Storage) -> Result<Vec<String>, Error> {
    Ok(storage.sweep()?)
}

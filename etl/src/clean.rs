//! Taking away what no reader should see: files that the receipt of their source does not name and, if asked, files of
//! sources that were never completed.
//!
//! In comes a lake; out comes what can be taken away, and what cannot and why. Nothing is removed before [`remove`] is
//! called, and then only what still stands as it was found.
//!
//! What must stay true: a file is removed only if its name carries the hash of a source, its own footer names that very
//! source, and it lies below the table of that source. Of a source with a receipt, if that, read again just before,
//! neither names the file nor is of an earlier revision than it: so it is not what a running replacement has written. Of
//! a source without one, only if it was last changed before the time that is said, there still is no receipt, and
//! whoever may still write the source was fenced off.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::audit::{Unclaimed, unclaimed};
use crate::digest::source_hash;
use crate::error::Error;
use crate::lake::Lake;
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
                found.stale.push(Stale { key, table, source, bytes, is_done: false });
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
                found.stale.push(Stale { key, table, source, bytes, is_done: true });
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
    let mut removed = Vec::new();
    for file in stale {
        if may_go(lake, file)? {
            lake.storage.delete(&file.key)?;
            removed.push(file);
        }
    }
    let given_up = removed.iter().filter(|file| !file.is_done).map(|file| (&*file.table, &*file.source));
    for (table, source) in given_up.collect::<BTreeSet<_>>() {
        abandon::forget(&*lake.storage, table, source)?;
    }
    Ok(removed)
}

/// Whether a file still is what it was found to be.
fn may_go(lake: &Lake, file: &Stale) -> Result<bool, Error> {
    // Fenced first: a run that was done before is seen by its receipt, and none is done behind it.
    if !file.is_done && !abandon::fence(&*lake.storage, &file.table, &file.source)? {
        return Ok(false);
    }
    let receipt = lake.ledger().head(&file.table, &file.source)?;
    Ok(match receipt {
        None => !file.is_done,
        Some(receipt) => file.is_done && !receipt.names(&file.key),
    })
}

/// Removes temporary files that nobody writes any more; which they were.
///
/// # Errors
/// If the storage fails.
pub fn sweep(storage: &dyn Storage) -> Result<Vec<String>, Error> {
    Ok(storage.sweep()?)
}

//! Taking away what no reader should see: files that the receipt of their source does not name.
//!
//! In comes a lake; out comes what can be taken away, and what cannot and why. Nothing is removed before [`remove`] is
//! called, and then only what still stands as it was found.
//!
//! What must stay true: a file is removed only if its name carries the hash of a source, its own footer names that very
//! source, it lies below the table of a receipt of that source, and the receipt, read again just before, neither names
//! the file nor is of an earlier revision than it: so it is not what a running replacement has written. A source without
//! a receipt loses nothing: its files are what the next run begins with.

use std::collections::BTreeSet;

use crate::audit::{Unclaimed, unclaimed};
use crate::digest::source_hash;
use crate::error::Error;
use crate::lake::Lake;
use crate::place::FileName;
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
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// What can be taken away, by key.
    pub stale: Vec<Stale>,
    /// What no receipt names either and stays, by key, with the reason.
    pub left: Vec<(String, String)>,
}

/// Looks for files that no receipt names.
///
/// # Errors
/// If the storage or the catalog cannot be read.
pub fn find(lake: &Lake) -> Result<Found, Error> {
    let mut found = Found::default();
    let tables: BTreeSet<String> = lake.catalog.tables()?.into_iter().collect();
    for file in unclaimed(&*lake.storage, &tables)? {
        let Unclaimed { key, table, bytes, revision, hash, source, receipt } = file;
        let reason = match (hash, source, receipt) {
            (None, ..) => "no file of iotlake is named so: move it out of the lake",
            (_, None, _) => "its footer cannot be read: look at it, and remove it by hand",
            (Some(hash), Some(source), _) if hash != source_hash(&source) => {
                "its name is not that of its source: move it out of the lake"
            }
            (_, _, None) => "its source is not done: ingest it again, which completes it",
            (_, _, Some(receipt)) if receipt < revision => {
                "its source is being ingested anew: if that run was killed, ingest the source again, which completes it"
            }
            (_, Some(source), Some(_)) => {
                found.stale.push(Stale { key, table, source, bytes });
                continue;
            }
        };
        found.left.push((key, reason.to_owned()));
    }
    Ok(found)
}

/// Removes a file, unless its source was written anew meanwhile; whether it did.
///
/// # Errors
/// If the receipt cannot be read or the file not removed.
pub fn remove(lake: &Lake, stale: &Stale) -> Result<bool, Error> {
    let Some(receipt) = lake.ledger().head(&stale.table, &stale.source)? else { return Ok(false) };
    let name = stale.key.rsplit('/').next().and_then(FileName::parse);
    if receipt.names(&stale.key) || name.is_none_or(|name| name.revision > receipt.revision) {
        return Ok(false);
    }
    lake.storage.delete(&stale.key)?;
    Ok(true)
}

/// Removes temporary files that nobody writes any more; which they were.
///
/// # Errors
/// If the storage fails.
pub fn sweep(storage: &dyn Storage) -> Result<Vec<String>, Error> {
    Ok(storage.sweep()?)
}

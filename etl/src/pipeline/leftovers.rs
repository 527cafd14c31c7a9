//! What earlier runs left to be completed, found by one look at the lake when a run begins.
//!
//! Attempts whose record is still there, removals that an older iotlake began (`_iotlake/replacing/`), and, where sources
//! are to be replaced, every file of theirs. A run that looks at no such list, as the function does, is no less safe: it
//! only completes less.

use std::collections::{HashMap, HashSet};

use super::attempt;
use crate::catalog::{Side, TableName};
use crate::digest::source_hash;
use crate::ledger::{LedgerError, Receipt};
use crate::place::Place;
use crate::plan::Plan;
use crate::storage::{Storage, StorageError};

const REPLACING: &str = "_iotlake/replacing";

/// What earlier runs left, by the hash of its source.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Sources that were not completed.
    open: HashSet<String>,
    /// Files of sources that are to be replaced.
    files: HashMap<String, Vec<String>>,
}

impl Leftovers {
    /// Looks for what was left of `table`; with `replace` also for the files of the sources of `plan`.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn list(
        storage: &dyn Storage,
        table: &str,
        plan: &Plan,
        replace: bool,
    ) -> Result<Leftovers, StorageError> {
        let mut found =
            Leftovers { open: attempt::open(storage, table)?.into_iter().collect(), ..Default::default() };
        let begun = format!("{REPLACING}/{table}/");
        storage.list(&begun, &mut |meta| {
            found.open.extend(meta.key[begun.len()..].strip_suffix(".json").map(str::to_owned));
            Ok(())
        })?;
        if replace {
            let wanted: HashSet<String> =
                plan.sources.iter().map(|source| source_hash(&source.name)).collect();
            for side in Side::BOTH {
                storage.list(&format!("{}/", TableName::new(table, side)), &mut |meta| {
                    if let Some(place) = Place::parse(table, &meta.key)
                        && wanted.contains(&place.name.hash)
                    {
                        found.files.entry(place.name.hash).or_default().push(meta.key);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(found)
    }

    /// Whether something of the source `source_name` was not completed.
    pub(super) fn has(&self, source_name: &str) -> bool {
        !self.open.is_empty() && self.open.contains(&source_hash(source_name))
    }

    /// The files of the source `source_name`, if they were looked for.
    pub(super) fn files(&self, source_name: &str) -> &[String] {
        if self.files.is_empty() {
            return &[];
        }
        self.files.get(&source_hash(source_name)).map_or(&[], Vec::as_slice)
    }
}

fn removal_key(table: &str, source_name: &str) -> String {
    format!("{REPLACING}/{table}/{}.json", source_hash(source_name))
}

/// What an older iotlake had begun to remove of a source: the receipt that it had. Never written any more.
pub(super) fn removal(
    storage: &dyn Storage,
    table: &str,
    source_name: &str,
) -> Result<Option<Receipt>, LedgerError> {
    let key = removal_key(table, source_name);
    let Some(bytes) = storage.read(&key)? else { return Ok(None) };
    let damaged = |source| LedgerError::Damaged { uri: storage.uri(&key), source };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Forgets it, once the source has a receipt and nothing else.
pub(super) fn forget_removal(
    storage: &dyn Storage,
    table: &str,
    source_name: &str,
) -> Result<(), StorageError> {
    storage.delete(&removal_key(table, source_name))
}

//! Removing files that a source had before: only once a receipt stands that does not name them, and only its own.
//!
//! In come the receipt as it stands and keys that may hold such files. A file goes only if its name carries the hash of
//! the source and a revision that is not above the receipt's, if it lies below the table or its rejects, and if its own
//! metadata names the source. Whatever else is there stays, and is told of: a receipt that somebody made up deletes
//! nothing of anybody else's.

use std::collections::HashSet;

use super::error::PipelineError;
use super::outcome::Remark;
use crate::digest::source_hash;
use crate::footer::{self, Owner};
use crate::ledger::Receipt;
use crate::place::Place;
use crate::remote::Fault;
use crate::storage::{Storage, StorageError};

/// Removes what a source had before.
pub(super) struct Sweep<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) table: &'a str,
    /// The receipt as it stands.
    pub(super) receipt: &'a Receipt,
    /// What was left, and why.
    pub(super) remarks: &'a mut Vec<Remark>,
}

impl Sweep<'_> {
    /// Removes those of `keys` that the receipt does not name; whether none of them is there any more.
    pub(super) fn remove<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k String>,
    ) -> Result<bool, PipelineError> {
        let receipt = self.receipt;
        let named: HashSet<&str> = receipt.keys().collect();
        let mut is_swept = true;
        for key in keys {
            if !named.contains(key.as_str()) {
                is_swept &= self.remove_one(key)?;
            }
        }
        Ok(is_swept)
    }

    fn remove_one(&mut self, key: &str) -> Result<bool, PipelineError> {
        if !is_of(self.table, &self.receipt.source, self.receipt.revision, key) {
            self.left(key, "its name is not that of a file of this source");
            return Ok(true);
        }
        match owner(self.storage, key)? {
            Owner::Nobody => return Ok(true),
            Owner::Source(source) if source == self.receipt.source => {}
            Owner::Source(_) => {
                self.left(key, "it says of itself that it is of another source");
                return Ok(true);
            }
            Owner::Unknown => {
                self.left(key, "it cannot be read, so that nothing tells whose it is");
                return Ok(true);
            }
        }
        match self.storage.delete(key) {
            Err(error) if is_denied(&error) => {
                self.remarks.push(Remark {
                    message: format!(
                        "{}: holds rows that the source had before and may not be removed by this run",
                        self.storage.uri(key)
                    ),
                    hint: "a later `iotlake backfill` of the source, by who may delete, removes it",
                });
                Ok(false)
            }
            deleted => deleted.map(|()| true).map_err(PipelineError::from),
        }
    }

    fn left(&mut self, key: &str, why: &str) {
        let message = format!(
            "{}: not removed with what {} had before: {why}",
            self.storage.uri(key),
            self.receipt.source
        );
        self.remarks.push(Remark { message, hint: "if it does not belong there, move it out of the lake" });
    }
}

/// Whether `key` is a place of a file of the source `source_name`, of a revision up to this one.
pub(super) fn is_of(table: &str, source_name: &str, revision: u32, key: &str) -> bool {
    Place::parse(table, key)
        .is_some_and(|Place { name, .. }| name.hash == source_hash(source_name) && name.revision <= revision)
}

/// Whose the file at `key` is.
pub(super) fn owner(storage: &dyn Storage, key: &str) -> Result<Owner, StorageError> {
    match storage.head(key)? {
        Some(meta) => footer::owner(storage, &meta),
        None => Ok(Owner::Nobody),
    }
}

pub(super) fn is_denied(error: &StorageError) -> bool {
    match error {
        StorageError::PermissionDenied { .. } => true,
        StorageError::Remote(error) => error.fault == Fault::Denied,
        _ => false,
    }
}

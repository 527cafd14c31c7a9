//! The partitions that a catalog has seen, so that it asks for none twice.
//!
//! In come files that are committed; out come the partitions among theirs that are still to be made known. What must stay
//! true: only what the catalog was seen to have is remembered, and nothing of a table that was found to be gone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{DataFile, Side, TableName};
use crate::partition::Partition;

/// Partitions by table.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<TableName, HashSet<Partition>>>);

impl Known {
    /// The partitions of `files` that were not seen, sorted.
    pub(super) fn unseen(&self, table: &TableName, files: &[DataFile]) -> Vec<Partition> {
        let all = self.lock();
        let known = all.get(table);
        let is_unseen = |partition: &Partition| known.is_none_or(|known| !known.contains(partition));
        let unseen: BTreeSet<Partition> = files.iter().map(|file| file.partition).filter(is_unseen).collect();
        unseen.into_iter().collect()
    }

    /// They were seen.
    pub(super) fn add(&self, table: &TableName, partitions: &[Partition]) {
        self.lock().entry(table.clone()).or_default().extend(partitions);
    }

    /// The table `name` is gone.
    pub(super) fn forget(&self, name: &str) {
        let mut all = self.lock();
        for side in Side::BOTH {
            all.remove(&TableName::new(name, side));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TableName, HashSet<Partition>>> {
        // Whole between any two changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

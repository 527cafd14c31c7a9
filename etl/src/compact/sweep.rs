//! Taking away what a generation superseded, once nobody reads it any more.
//!
//! In comes a partition; out comes what was removed. What must stay true: nothing is removed but files of sources whose rows
//! a generation shows that is older than the grace, files of generations that were superseded as long ago, and files of
//! generations that lost their number; nothing at all while the catalog says that the partition lies elsewhere. Manifests
//! and receipts stay.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use super::error::CompactError;
use super::{Compactor, Task};
use crate::catalog::TableName;
use crate::generation::{Manifest, place};
use crate::partition::Partition;
use crate::storage::ObjectMeta;

/// What was removed of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that stay until the grace is over.
    pub kept: u64,
}

impl Compactor<'_> {
    /// Removes what was superseded in a partition longer ago than the grace, if it is `now`.
    ///
    /// # Errors
    /// See [`CompactError`]; what was removed before stays removed.
    pub fn sweep(&self, table: &str, partition: Partition, now: SystemTime) -> Result<Swept, CompactError> {
        let task = Task { table, partition, again: &[] };
        let numbers = self.generations.numbers(table, partition)?;
        let newest = numbers.newest();
        if newest == 0 {
            return Ok(Swept::default());
        }
        let manifest = self.generations.read(table, partition, newest)?.manifest;
        let location = self.lake.catalog.location(&TableName::rows(table), partition)?;
        if location.is_some_and(|location| location != manifest.location()) {
            // Whoever reads now reads what lies there: it stays for another time.
            self.place(table, partition)?;
            return Ok(Swept::default());
        }
        let ripe = numbers.manifests.iter().rev().find(|(_, meta)| self.is_old(meta, now));
        let ripe = ripe.map_or(0, |(number, _)| *number);
        let read = |number: u32| match number == newest {
            true => Ok(manifest.clone()),
            false => self.generations.read(table, partition, number).map(|held| held.manifest),
        };
        let mut shown: BTreeMap<u32, Manifest> = BTreeMap::new();
        for number in ripe.max(1)..=newest {
            shown.insert(number, read(number)?);
        }
        let mut swept = Swept::default();
        self.sweep_generations(&task, ripe, newest, &shown, &mut swept)?;
        self.sweep_sources(&task, shown.get(&ripe), &manifest, &mut swept)?;
        for number in numbers.begun.iter().filter(|number| **number <= newest) {
            self.generations.end(table, partition, *number)?;
        }
        Ok(swept)
    }

    fn is_old(&self, meta: &ObjectMeta, now: SystemTime) -> bool {
        match meta.modified {
            _ if self.options.grace.is_zero() => true,
            Some(modified) => modified + self.options.grace <= now,
            None => false,
        }
    }

    /// Removes files of generations before the `ripe` one, and of such as lost their number.
    fn sweep_generations(
        &self,
        task: &Task<'_>,
        ripe: u32,
        newest: u32,
        shown: &BTreeMap<u32, Manifest>,
        swept: &mut Swept,
    ) -> Result<(), CompactError> {
        let outputs = |manifest: &Manifest| -> Vec<String> {
            manifest.outputs.iter().map(|output| output.key.clone()).collect()
        };
        let keep: HashSet<String> = shown.values().flat_map(outputs).collect();
        let newest_shown: HashSet<String> = shown.get(&newest).map(outputs).into_iter().flatten().collect();
        // Of what lost its number nobody ever reads.
        let is_named = |folder: &place::Folder| {
            shown.get(&folder.number).is_some_and(|manifest| manifest.folder().as_ref() == Some(folder))
        };
        let mut gone = Vec::new();
        self.lake.storage.list(&place::folder_of(task.table, task.partition), &mut |meta| {
            let Some(folder) = place::parse(task.table, &meta.key) else { return Ok(()) };
            if keep.contains(&meta.key) {
                swept.kept += u64::from(!newest_shown.contains(&meta.key));
            } else if folder.number <= newest && (folder.number < ripe || !is_named(&folder)) {
                gone.push(meta);
            }
            Ok(())
        })?;
        self.remove(gone, swept)
    }

    /// Removes files of sources whose rows the `ripe` generation shows, or showed.
    fn sweep_sources(
        &self,
        task: &Task<'_>,
        ripe: Option<&Manifest>,
        newest: &Manifest,
        swept: &mut Swept,
    ) -> Result<(), CompactError> {
        let keys = |manifest: &Manifest| -> HashSet<String> {
            manifest.contains.iter().map(|file| file.key.clone()).collect()
        };
        let (ripe, newest) = (ripe.map(keys).unwrap_or_default(), keys(newest));
        let mut gone = Vec::new();
        self.lake.storage.list(&format!("{}/{}/", task.table, task.partition.folder()), &mut |meta| {
            match (ripe.contains(&meta.key), newest.contains(&meta.key)) {
                (true, _) => gone.push(meta),
                (false, true) => swept.kept += 1,
                (false, false) => {}
            }
            Ok(())
        })?;
        self.remove(gone, swept)
    }

    fn remove(&self, gone: Vec<ObjectMeta>, swept: &mut Swept) -> Result<(), CompactError> {
        for meta in gone {
            self.lake.storage.delete(&meta.key)?;
            swept.files += 1;
            swept.bytes += meta.size;
        }
        Ok(())
    }
}

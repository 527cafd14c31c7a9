//! Taking away what a generation superseded, once nobody reads it any more.
//!
//! In comes a partition; out comes what was removed. What must stay true: nothing is removed but files of sources whose rows
//! a generation shows that is older than the grace, files of generations that were superseded as long ago, and files of
//! generations that lost their number; for what a run that was killed left, the number is taken first. Nothing at all while the catalog says that the partition lies elsewhere. Manifests
//! and receipts stay.

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use super::error::CompactError;
use super::{Compactor, Task};
use crate::catalog::TableName;
use crate::generation::{Manifest, place};
use crate::partition::Partition;
use crate::storage::ObjectMeta;

/// How long ago a file was made that belongs to nothing yet: no run takes so long from it to its manifest.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

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
        let task = Task { table, partition, again: &[], takes: true };
        let mut numbers = self.generations.numbers(table, partition)?;
        if numbers.is_open() && self.is_abandoned(&task, numbers.newest(), now)? {
            let before = self.newest(&task, &numbers)?;
            self.advance(&task, &numbers, before.as_ref())?;
            numbers = self.generations.numbers(table, partition)?;
        }
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
        let is_moved = self.is_moved(table, partition);
        let ripe = numbers.manifests.iter().rev().find(|(_, meta)| !is_moved && self.is_old(meta, now));
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

    /// Whether somebody made files at a number that is not taken, so long ago that they are dead. They may be removed once it
    /// is taken: should whoever made them live after all, it comes too late.
    fn is_abandoned(&self, task: &Task<'_>, newest: u32, now: SystemTime) -> Result<bool, CompactError> {
        let mut is_abandoned = false;
        self.lake.storage.list(&place::folder_of(task.table, task.partition), &mut |meta| {
            let is_above = place::parse(task.table, &meta.key).is_some_and(|folder| folder.number > newest);
            let is_old = meta.modified.is_some_and(|modified| modified + ABANDONED <= now);
            is_abandoned |= is_above && is_old;
            Ok(())
        })?;
        Ok(is_abandoned)
    }

    /// Whether the catalog had the partition elsewhere until just now: whoever reads by its locations may read there.
    fn is_moved(&self, table: &str, partition: Partition) -> bool {
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        !self.options.grace.is_zero() && moved.contains(&(table.to_owned(), partition))
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

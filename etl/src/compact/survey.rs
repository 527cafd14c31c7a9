//! Which partitions of a table want to be compacted, and what lies there that nobody reads any more.
//!
//! In comes a table; out come its partitions as a few listings show them. A manifest is read only of a partition in which
//! something lies beside the files of its newest generation; and of all, if the table has sources that were replaced or
//! removed at some time, for a generation may still show what these were.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use super::CompactOptions;
use crate::catalog::Side;
use crate::error::Error;
use crate::generation::{Generations, Manifest, place};
use crate::lake::Lake;
use crate::ledger::{Ledger, LedgerError};
use crate::partition::Partition;
use crate::place::Place;

/// A partition as it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// Which.
    pub partition: Partition,
    /// The number of its newest generation; 0 if it has none.
    pub generation: u32,
    /// Files of sources that its generation does not have.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that its newest generation does not show any more: of sources, and of generations before.
    pub superseded: u64,
    /// Their bytes.
    pub superseded_bytes: u64,
    /// Sources whose rows its newest generation has as they are not any more: those who read by receipts leave them out.
    pub stale: u64,
}

impl Survey {
    /// Whether it is closed: its hour ended longer ago than things take to settle. Rows without a time are always late.
    pub fn is_closed(&self, options: &CompactOptions, now: SystemTime) -> bool {
        self.partition.end().is_none_or(|end| end + options.settled <= now)
    }

    /// Whether there is something to compact.
    pub fn is_due(&self) -> bool {
        self.files > u64::from(self.generation == 0) || self.stale > 0
    }
}

/// The partitions of a table that have files, sorted.
///
/// # Errors
/// If the storage fails or a manifest cannot be read.
pub fn survey(lake: &Lake, table: &str) -> Result<Vec<Survey>, Error> {
    let generations = Generations::new(&*lake.storage);
    let mut replaced = Replaced::of(lake, table)?;
    let newest: BTreeMap<Partition, u32> = generations.newest_of(table, "")?.into_iter().collect();
    /// Keys and bytes: of files of sources, of files of generations.
    type Files = [Vec<(String, u64)>; 2];
    let mut found: BTreeMap<Partition, Files> = BTreeMap::new();
    lake.storage.list(&format!("{table}/"), &mut |meta| {
        let of = match (Place::parse(table, &meta.key), place::parse(table, &meta.key)) {
            (Some(place), _) => Some((place.partition, 0)),
            (None, Some(folder)) => Some((folder.partition, 1)),
            (None, None) => None,
        };
        if let Some((partition, side)) = of {
            found.entry(partition).or_default()[side].push((meta.key, meta.size));
        }
        Ok(())
    })?;
    let mut surveys = Vec::with_capacity(found.len());
    for (partition, [fresh, made]) in found {
        let generation = newest.get(&partition).copied().unwrap_or_default();
        let is_swept = fresh.is_empty() && is_one(table, generation, &made);
        let mut survey = Survey {
            partition,
            generation,
            files: 0,
            bytes: 0,
            superseded: 0,
            superseded_bytes: 0,
            stale: 0,
        };
        let manifest = match generation {
            0 => None,
            _ if is_swept && replaced.hashes.is_empty() => None,
            number => Some(generations.read(table, partition, number)?.manifest),
        };
        if let Some(manifest) = &manifest {
            survey.stale = replaced.stale_in(manifest)?;
        }
        let has = |files: &[crate::ledger::Output], key: &str| {
            files.binary_search_by(|file| file.key.as_str().cmp(key)).is_ok()
        };
        for (key, bytes) in fresh {
            match manifest.as_ref().is_some_and(|manifest| has(&manifest.contains, &key)) {
                true => survey.supersede(bytes),
                false => (survey.files, survey.bytes) = (survey.files + 1, survey.bytes + bytes),
            }
        }
        for (key, bytes) in made.into_iter().filter(|_| !is_swept) {
            if manifest.as_ref().is_none_or(|manifest| !has(&manifest.outputs, &key)) {
                survey.supersede(bytes);
            }
        }
        surveys.push(survey);
    }
    Ok(surveys)
}

/// What the receipts of sources name that were replaced or removed at some time, read as they are asked for.
pub(super) struct Replaced<'a> {
    ledger: Ledger,
    table: &'a str,
    hashes: BTreeSet<String>,
    /// By hash; `None` of a source without a receipt that can be read.
    named: HashMap<String, Option<BTreeSet<String>>>,
}

impl Replaced<'_> {
    pub(super) fn of<'a>(lake: &Lake, table: &'a str) -> Result<Replaced<'a>, LedgerError> {
        let ledger = lake.ledger();
        let hashes = ledger.replaced(table)?;
        Ok(Replaced { ledger, table, hashes, named: HashMap::new() })
    }

    /// How many sources a generation has otherwise than their receipts say.
    pub(super) fn stale_in(&mut self, manifest: &Manifest) -> Result<u64, LedgerError> {
        let mut contained: HashMap<String, BTreeSet<&str>> = HashMap::new();
        for file in &manifest.contains {
            if let Some(place) = Place::parse(self.table, &file.key)
                && self.hashes.contains(&place.name.hash)
            {
                contained.entry(place.name.hash).or_default().insert(&file.key);
            }
        }
        let mut stale = 0;
        for (hash, keys) in contained {
            let is_here = |key: &&String| {
                Place::parse(self.table, key)
                    .is_some_and(|place| (place.side, place.partition) == (Side::Rows, manifest.partition))
            };
            let Some(named) = self.named(&hash)? else { continue };
            stale += u64::from(!named.iter().filter(is_here).map(String::as_str).eq(keys));
        }
        Ok(stale)
    }

    fn named(&mut self, hash: &str) -> Result<Option<BTreeSet<String>>, LedgerError> {
        if let Some(named) = self.named.get(hash) {
            return Ok(named.clone());
        }
        let name = self.ledger.replaced_name(self.table, hash)?;
        let standing = match name {
            Some(name) => self.ledger.standing(self.table, &name)?,
            None => None,
        };
        let named = match standing.transpose() {
            Err(LedgerError::Damaged { .. }) => None,
            receipt => receipt?.map(|receipt| receipt.outputs.into_iter().map(|output| output.key).collect()),
        };
        self.named.insert(hash.to_owned(), named.clone());
        Ok(named)
    }
}

/// Whether all files lie in one folder, which is that of a generation of this number.
fn is_one(table: &str, number: u32, files: &[(String, u64)]) -> bool {
    let mut folders = files.iter().filter_map(|(key, _)| place::parse(table, key));
    folders.next().is_some_and(|first| first.number == number && folders.all(|folder| folder == first))
}

impl Survey {
    fn supersede(&mut self, bytes: u64) {
        self.superseded += 1;
        self.superseded_bytes += bytes;
    }
}

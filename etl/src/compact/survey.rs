//! Which partitions of a table want to be compacted, and what lies there that nobody reads any more.
//!
//! In comes a table; out come its partitions as two listings show them. A manifest is read only of a partition in which
//! something lies beside the files of its newest generation.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::CompactOptions;
use crate::error::Error;
use crate::generation::{Generations, place};
use crate::lake::Lake;
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
}

impl Survey {
    /// Whether it is closed: its hour ended longer ago than things take to settle. Rows without a time are always late.
    pub fn is_closed(&self, options: &CompactOptions, now: SystemTime) -> bool {
        self.partition.end().is_none_or(|end| end + options.settled <= now)
    }

    /// Whether there is something to compact.
    pub fn is_due(&self) -> bool {
        self.files > u64::from(self.generation == 0)
    }
}

/// The partitions of a table that have files, sorted.
///
/// # Errors
/// If the storage fails or a manifest cannot be read.
pub fn survey(lake: &Lake, table: &str) -> Result<Vec<Survey>, Error> {
    let generations = Generations::new(&*lake.storage);
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
        let mut survey =
            Survey { partition, generation, files: 0, bytes: 0, superseded: 0, superseded_bytes: 0 };
        let manifest = match generation {
            0 => None,
            _ if is_swept => None,
            number => Some(generations.read(table, partition, number)?.manifest),
        };
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

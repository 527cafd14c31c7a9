//! Sources that were ingested anew while a generation shows what they were before.
//!
//! In come receipts that have just come to stand in place of others; out come, at the end of a run, generations that show
//! each of these sources as its receipt says, one for each partition however many sources that concerns. Only then the
//! files that they had are removed, and their records: so a run that is killed leaves what the next backfill completes.
//!
//! What must stay true: generations are looked for after the receipt stands, for whoever makes one reads receipts after
//! it has said that it does ([`crate::compact`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::outcome::Remark;
use super::{Pipeline, PipelineError, leftovers};
use crate::catalog::Side;
use crate::compact::{CompactError, CompactOptions, Compactor};
use crate::generation::Generations;
use crate::ledger::Receipt;
use crate::partition::Partition;
use crate::place::Place;

/// What is left to be done of sources once generations show them as they are.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Whether nobody is there who would do it: a function, which replaces nothing.
    is_unasked: bool,
    sources: Mutex<Vec<Source>>,
}

/// What is left to be done of one source.
#[derive(Debug)]
struct Source {
    receipt: Receipt,
    /// The partitions that have generations, of those in which it had files or has some now.
    partitions: BTreeSet<Partition>,
    keys: Vec<String>,
    records: Vec<u32>,
}

impl Shown {
    pub(super) fn unasked() -> Shown {
        Shown { is_unasked: true, ..Shown::default() }
    }
}

/// A partition of which the next generation could not be made.
#[derive(Debug)]
pub struct Unrenewed {
    /// Which.
    pub partition: Partition,
    /// Why.
    pub error: CompactError,
}

impl Pipeline<'_> {
    /// Whether a generation may show, or come to show, what the source of `receipt` was before. Then it is noted what is to
    /// be done of it afterwards.
    pub(super) fn is_shown(
        &self,
        receipt: &Receipt,
        keys: &[String],
        records: &[u32],
    ) -> Result<bool, PipelineError> {
        let shown = &self.shared.shown;
        if shown.is_unasked || receipt.revision == 0 {
            return Ok(false);
        }
        let table = &*self.run.table;
        let all = keys.iter().chain(receipt.outputs.iter().map(|output| &output.key));
        let places = all.filter_map(|key| Place::parse(table, key)).filter(|place| place.side == Side::Rows);
        let mut partitions: BTreeSet<Partition> = places.map(|place| place.partition).collect();
        let generations = Generations::new(&*self.lake.storage);
        for partition in partitions.clone() {
            let numbers = generations.numbers(table, partition)?;
            if numbers.newest() == 0 && !numbers.is_open() && !generations.is_there(table, partition, 1)? {
                partitions.remove(&partition);
            }
        }
        if partitions.is_empty() {
            return Ok(false);
        }
        let (receipt, keys, records) = (receipt.clone(), keys.to_vec(), records.to_vec());
        let source = Source { receipt, partitions, keys, records };
        shown.sources.lock().unwrap_or_else(PoisonError::into_inner).push(source);
        Ok(true)
    }

    /// Makes generations in which the sources that this run has ingested anew, or found so, are as their receipts say, and
    /// removes what they had; which partitions could not be done.
    ///
    /// # Errors
    /// If what the sources had cannot be removed; the next backfill does it.
    pub fn renew(&self, remarks: &mut Vec<Remark>) -> Result<Vec<Unrenewed>, PipelineError> {
        let sources =
            std::mem::take(&mut *self.shared.shown.sources.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_partition: BTreeMap<Partition, BTreeSet<String>> = BTreeMap::new();
        for source in &sources {
            for partition in &source.partitions {
                by_partition.entry(*partition).or_default().insert(source.receipt.source.clone());
            }
        }
        let options = CompactOptions {
            compression: self.run.compression,
            ..CompactOptions::new(self.run.spill.clone())
        };
        let compactor = Compactor::new(self.lake, &options);
        let mut unrenewed = Vec::new();
        for (partition, sources) in by_partition {
            let sources: Vec<String> = sources.into_iter().collect();
            if let Err(error) = compactor.refresh(&self.run.table, partition, &sources) {
                unrenewed.push(Unrenewed { partition, error });
            }
        }
        let failed: BTreeSet<Partition> = unrenewed.iter().map(|failed| failed.partition).collect();
        for Source { receipt, partitions, keys, records } in sources {
            if partitions.is_disjoint(&failed) {
                self.remove(&receipt, keys, &records, remarks)?;
                if self.shared.leftovers.has(&receipt.source) {
                    leftovers::forget_removal(&*self.lake.storage, &self.run.table, &receipt.source)?;
                }
            }
        }
        Ok(unrenewed)
    }
}

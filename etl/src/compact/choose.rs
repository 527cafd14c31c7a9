//! What a generation is made of: files of sources that are done, and the generation before.
//!
//! In come the files in the folder of a partition, the receipts of their sources, and the newest manifest; out comes what
//! shall be read, and what of the generation before is left out. What must stay true: a file is taken only if the receipt of
//! its source, read now, names it; of a source all files in the partition are taken, or none; rows of a source that was
//! ingested anew go as its new ones come.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use iotlake_flatten::layout::metadata;

use super::error::CompactError;
use super::file::File;
use crate::catalog::Side;
use crate::digest::source_hash;
use crate::footer::said;
use crate::generation::{Manifest, rows_of};
use crate::ledger::{Ledger, LedgerError, Output};
use crate::partition::Partition;
use crate::place::Place;
use crate::storage::{ObjectMeta, Storage, StorageError};

/// Bytes of small files that are kept from the first look at them.
const KEPT: u64 = 16 << 20;

/// What a generation is made of.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Files of sources whose rows the next generation shows, by key.
    pub(super) contains: Vec<Output>,
    /// Those of them that no generation had.
    pub(super) fresh: Vec<File>,
    /// Sources whose rows the generation before has and the next one has not, or not so.
    pub(super) dropped: BTreeSet<String>,
    /// How many rows these are.
    pub(super) removed: u64,
    /// Files in the folder that no receipt names: of sources that are not done, or were ingested anew since.
    pub(super) waiting: u64,
}

impl Chosen {
    /// Whether the next generation shows something else than the one before.
    pub(super) fn is_changed(&self) -> bool {
        !self.fresh.is_empty() || !self.dropped.is_empty()
    }
}

/// Where to look.
pub(super) struct Look<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) ledger: &'a Ledger,
    pub(super) table: &'a str,
    pub(super) partition: Partition,
    /// The newest manifest.
    pub(super) before: Option<&'a Manifest>,
}

/// The files of one source that lie in the partition and that no generation has.
struct Found<'a> {
    hash: &'a str,
    metas: &'a [ObjectMeta],
}

impl Look<'_> {
    /// Chooses. `again` are sources that were replaced or removed: what the generation before shows of them is compared with
    /// their receipts though nothing of them may lie in the folder.
    pub(super) fn choose(&self, again: &[String]) -> Result<Chosen, CompactError> {
        let contained: HashSet<&str> = self.contains().iter().map(|file| file.key.as_str()).collect();
        let mut known: HashMap<String, Vec<&Output>> = HashMap::new();
        for file in self.contains() {
            if let Some(place) = Place::parse(self.table, &file.key) {
                known.entry(place.name.hash).or_default().push(file);
            }
        }
        let mut found: BTreeMap<String, Vec<ObjectMeta>> = BTreeMap::new();
        self.storage.list(&format!("{}/{}/", self.table, self.partition.folder()), &mut |meta| {
            if let Some(place) = Place::parse(self.table, &meta.key)
                && !contained.contains(&*meta.key)
            {
                found.entry(place.name.hash).or_default().push(meta);
            }
            Ok(())
        })?;
        let mut chosen = Chosen::default();
        let mut keeps = KEPT;
        for (hash, metas) in &found {
            let known = known.get(hash).map_or(&[][..], Vec::as_slice);
            self.source(&Found { hash, metas }, known, &mut keeps, &mut chosen)?;
        }
        // Of one that has files here it was decided with them.
        for identity in again {
            let hash = source_hash(identity);
            let (Some(known), false) = (known.get(&hash), found.contains_key(&hash)) else { continue };
            if let Some(named) = self.named(identity)?
                && !is_same(&named, known)
            {
                if let Some(output) = named.first() {
                    return Err(StorageError::NotFound { uri: self.storage.uri(&output.key) }.into());
                }
                chosen.drop(identity.clone(), known);
            }
        }
        let dropped: HashSet<String> = chosen.dropped.iter().map(|identity| source_hash(identity)).collect();
        for (hash, files) in known {
            if !dropped.contains(&hash) {
                chosen.contains.extend(files.into_iter().cloned());
            }
        }
        chosen.contains.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(chosen)
    }

    fn contains(&self) -> &[Output] {
        self.before.map_or(&[], |manifest| &manifest.contains)
    }

    /// What the receipt of a source names in this partition, which is nothing if it was given up; `None` if it has none that
    /// can be read.
    fn named(&self, identity: &str) -> Result<Option<Vec<Output>>, CompactError> {
        let receipt = match self.ledger.standing(self.table, identity)?.transpose() {
            // Whoever ingests the source anew writes it anew.
            Err(LedgerError::Damaged { .. }) => None,
            receipt => receipt?,
        };
        let is_here = |output: &Output| {
            Place::parse(self.table, &output.key)
                .is_some_and(|place| (place.side, place.partition) == (Side::Rows, self.partition))
        };
        Ok(receipt.map(|receipt| receipt.outputs.into_iter().filter(is_here).collect()))
    }

    /// Decides about one source.
    fn source(
        &self,
        found: &Found<'_>,
        known: &[&Output],
        keeps: &mut u64,
        chosen: &mut Chosen,
    ) -> Result<(), CompactError> {
        let first = &found.metas[0];
        let looked = match File::look(self.storage, &first.key, first.size) {
            // It is gone since it was listed: its source is being ingested anew.
            Err(error) if error.is_gone() => return Ok(()),
            // What it is, nothing tells: `audit` does.
            Err(CompactError::Damaged { .. }) => {
                chosen.waiting += found.metas.len() as u64;
                return Ok(());
            }
            looked => looked?,
        };
        let identity = said(looked.0.file_metadata(), metadata::SOURCE)
            .filter(|identity| source_hash(identity) == found.hash);
        let named = match identity {
            Some(identity) => self.named(identity)?,
            None => None,
        };
        let (Some(identity), Some(named)) = (identity.map(str::to_owned), named) else {
            chosen.waiting += found.metas.len() as u64;
            return Ok(());
        };
        let is_there = |output: &Output| found.metas.iter().any(|meta| meta.key == output.key);
        // Others are what its source was before, or what a run has written that is not done.
        chosen.waiting +=
            found.metas.iter().filter(|meta| named.iter().all(|output| output.key != meta.key)).count()
                as u64;
        if is_same(&named, known) {
            return Ok(());
        }
        if !named.iter().all(is_there) {
            // Some are missing: not this time, if it was ingested anew since the folder was listed; never, if they are lost.
            chosen.waiting += named.iter().filter(|output| is_there(output)).count() as u64;
            return Ok(());
        }
        let mut looked = Some(looked);
        for output in named {
            let file = match looked.take_if(|_| output.key == first.key) {
                Some((footer, tail)) => File::of(output.clone(), footer, tail, keeps),
                None => File::open(self.storage, output.clone(), keeps)?,
            };
            chosen.fresh.push(file);
            chosen.contains.push(output);
        }
        if !known.is_empty() {
            chosen.drop(identity, known);
        }
        Ok(())
    }
}

impl Chosen {
    fn drop(&mut self, identity: String, known: &[&Output]) {
        self.removed += known.iter().map(|file| file.rows).sum::<u64>();
        self.dropped.insert(identity);
    }

    /// Rows that the next generation shows.
    pub(super) fn rows(&self) -> u64 {
        rows_of(&self.contains)
    }
}

fn is_same(named: &[Output], known: &[&Output]) -> bool {
    named.len() == known.len() && named.iter().all(|output| known.contains(&output))
}

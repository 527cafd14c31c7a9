//! Taking sources, or a whole table, out of a lake. What they were ingested from is not touched.
//!
//! In come a lake and what shall go; out comes what goes ([`find`]), then what went ([`remove`], [`drop_table`]). The order
//! of effects is such that a kill anywhere leaves a lake that audit accepts, and that the same call completes it:
//!
//! 1. Records of attempts are marked as superseded: whoever still writes a source is fenced off at its next effect.
//! 2. Each source is given up: in the place of its receipt stands that it is, in a revision above all that there was. From
//!    here on it is not done, its files are orphans, and a run that is under way cannot put a receipt any more.
//! 3. Files of rows and rejects of revisions below that go, told by the hash of the source in their names.
//! 4. Records of attempts go; they name the files, and so stay until those have gone.
//! 5. Partitions whose generation has rows of such sources get one without them. Readers by receipts leave these rows out
//!    from the second step on.
//! 6. Of a table: its generations, manifests first; its views, then it and its partitions, then what stands for its sources.
//!
//! What stands for a source that was taken out stays with the table: without it, a run that was stopped all the while could
//! put a receipt for files that are gone. The source can be ingested again, under names that nobody had.
//!
//! What must stay true: no file goes that a receipt names, or that a run begun since may name; what is left of a removal
//! that was killed is found without what has gone already.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::unclaimed;
use crate::catalog::{Side, TableName};
use crate::compact::{CompactOptions, Compactor};
use crate::digest::source_hash;
use crate::error::Error;
use crate::generation::{Generations, place};
use crate::lake::Lake;
use crate::ledger::{Ledger, LedgerError, Receipt};
use crate::partition::Partition;
use crate::pipeline::abandon;
use crate::place::Place;

/// What shall go of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// Everything.
    All,
    /// The source of this name; of one that ends in `/` all sources below it.
    Source(&'a str),
}

/// What goes of a table, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leaving {
    /// The table.
    pub table: String,
    /// The names of the sources, where a receipt, a record or a file tells them.
    pub sources: BTreeSet<String>,
    /// Those that were given up before: some of their files may still be there.
    pub withdrawn: BTreeSet<String>,
    /// Rows of those that are done.
    pub rows: u64,
    /// Their rejects.
    pub rejected: u64,
    /// The keys of their receipts.
    pub receipts: Vec<String>,
    /// The keys of files, and their length in bytes: of a whole table those of generations too.
    pub files: BTreeMap<String, u64>,
    /// Partitions that have a generation with rows of these sources: each gets one without them.
    pub partitions: BTreeSet<Partition>,
    /// Of a whole table, the keys of its manifests.
    pub manifests: Vec<String>,
}

impl Leaving {
    /// Whether there is nothing but what was given up before.
    pub fn is_empty(&self) -> bool {
        let Leaving { sources, receipts, files, partitions, manifests, .. } = self;
        sources.is_empty()
            && receipts.is_empty()
            && files.is_empty()
            && partitions.is_empty()
            && manifests.is_empty()
    }

    /// The length of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    fn take(&mut self, key: String, receipt: Result<Receipt, LedgerError>) -> Result<(), Error> {
        if let Ok(Receipt { outputs, replaced, .. }) = &receipt {
            let keys = outputs.iter().map(|output| &output.key).chain(replaced);
            let places = keys.filter_map(|key| Place::parse(&self.table, key));
            self.partitions
                .extend(places.filter(|place| place.side == Side::Rows).map(|place| place.partition));
        }
        match receipt {
            Ok(receipt) if receipt.given_up => {
                self.withdrawn.insert(receipt.source);
                return Ok(());
            }
            Ok(receipt) => {
                self.rows += receipt.counts.rows;
                self.rejected += receipt.counts.rejected;
                self.sources.insert(receipt.source);
            }
            // It vouches for nothing that could be counted.
            Err(LedgerError::Damaged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.receipts.push(key);
        Ok(())
    }
}

impl Which<'_> {
    fn is(self, source_name: &str) -> bool {
        match self {
            Which::All => true,
            Which::Source(folder) if folder.ends_with('/') => source_name.starts_with(folder),
            Which::Source(source) => source_name == source,
        }
    }
}

/// What of `table` would go; it need not be in the catalog.
///
/// # Errors
/// If the lake cannot be read, or holds a receipt of a newer iotlake.
pub fn find(lake: &Lake, table: &str, which: Which<'_>) -> Result<Leaving, Error> {
    let storage = &*lake.storage;
    let ledger = lake.ledger();
    let mut leaving = Leaving { table: table.to_owned(), ..Leaving::default() };
    match which {
        Which::Source(source) if !source.ends_with('/') => {
            if let Some(receipt) = ledger.standing(table, source)? {
                leaving.take(Ledger::key(table, source), receipt)?;
            }
        }
        _ => {
            let mut keys = Vec::new();
            storage.list(&Ledger::folder(table), &mut |meta| {
                keys.push(meta.key);
                Ok(())
            })?;
            for key in keys {
                let Some(bytes) = storage.read(&key)? else { continue };
                let receipt = ledger.parse(&key, &bytes);
                let is_meant =
                    receipt.as_ref().map_or(which == Which::All, |receipt| which.is(&receipt.source));
                if is_meant {
                    leaving.take(key, receipt)?;
                }
            }
        }
    }
    leaving.sources.extend(abandon::sources(storage, table)?.into_iter().filter(|source| which.is(source)));
    if let Which::Source(folder) = which
        && folder.ends_with('/')
    {
        // What a removal that was killed has left without a receipt, its footer names.
        let orphans = unclaimed(storage, &BTreeSet::from([table.to_owned()]))?;
        let of_table = orphans.into_iter().filter(|file| file.table == table);
        leaving.sources.extend(of_table.filter_map(|file| file.source).filter(|source| which.is(source)));
    }
    let all = leaving.sources.union(&leaving.withdrawn);
    let mut hashes: BTreeSet<String> = all.map(|source| source_hash(source)).collect();
    if let Which::Source(source) = which {
        hashes.insert(source_hash(source));
    }
    for side in Side::BOTH {
        storage.list(&format!("{}/", TableName::new(table, side)), &mut |meta| {
            let is_meant = match Place::parse(table, &meta.key) {
                Some(place) => which == Which::All || hashes.contains(&place.name.hash),
                None => which == Which::All && place::parse(table, &meta.key).is_some(),
            };
            if is_meant {
                leaving.files.insert(meta.key, meta.size);
            }
            Ok(())
        })?;
    }
    match which {
        Which::All => {
            leaving.partitions.clear();
            storage.list(&Generations::folder(table), &mut |meta| {
                leaving.manifests.push(meta.key);
                Ok(())
            })?;
        }
        Which::Source(_) => leaving.partitions = with_rows_of(lake, table, &leaving.partitions, &hashes)?,
    }
    if let Which::Source(source) = which
        && !leaving.files.is_empty()
        && !source.ends_with('/')
    {
        leaving.sources.insert(source.to_owned());
    }
    Ok(leaving)
}

/// Those of these partitions whose newest generation has rows of one of these sources.
fn with_rows_of(
    lake: &Lake,
    table: &str,
    partitions: &BTreeSet<Partition>,
    hashes: &BTreeSet<String>,
) -> Result<BTreeSet<Partition>, Error> {
    let generations = Generations::new(&*lake.storage);
    let mut found = BTreeSet::new();
    for partition in partitions {
        let manifest = generations.latest(table, *partition)?;
        if manifest.is_some_and(|manifest| manifest.sources().iter().any(|hash| hashes.contains(hash))) {
            found.insert(*partition);
        }
    }
    Ok(found)
}

/// Takes out what was found; which sources somebody is writing, and therefore stay.
///
/// # Errors
/// If the storage fails; what has gone until then is gone, and the same again takes out the rest.
pub fn remove(lake: &Lake, leaving: &Leaving) -> Result<Vec<String>, Error> {
    let busy = take_out(lake, leaving)?;
    renew(lake, leaving, &busy)?;
    Ok(busy)
}

/// Gives sources up and removes their files; which of them somebody is writing.
fn take_out(lake: &Lake, leaving: &Leaving) -> Result<Vec<String>, Error> {
    let (storage, ledger, table) = (&*lake.storage, lake.ledger(), &*leaving.table);
    let mut files: BTreeMap<String, Vec<(&String, u32)>> = BTreeMap::new();
    for key in leaving.files.keys() {
        let Some(Place { name, .. }) = Place::parse(table, key) else { continue };
        files.entry(name.hash).or_default().push((key, name.revision));
    }
    let mut busy = Vec::new();
    // By the hash of a source, the revision in which it was given up.
    let mut given_up: BTreeMap<String, Option<u32>> = BTreeMap::new();
    for source in leaving.sources.union(&leaving.withdrawn) {
        let hash = source_hash(source);
        let revision = match abandon::fence(storage, table, source)? {
            Some(next) => {
                let files = files.get(&hash).map_or(&[][..], Vec::as_slice);
                let least = files.iter().map(|(_, revision)| revision + 1).fold(next, u32::max);
                let keys: Vec<String> = files.iter().map(|(key, _)| (*key).clone()).collect();
                Some(ledger.withdraw(table, source, least, &keys)?)
            }
            None => {
                busy.push(source.clone());
                None
            }
        };
        given_up.insert(hash, revision);
    }
    let hash_of = |key: &str| key.rsplit('/').next().map_or(String::new(), |name| name.replace(".json", ""));
    // Such as do not tell their source.
    for key in leaving.receipts.iter().filter(|key| !given_up.contains_key(&hash_of(key))) {
        storage.delete(key)?;
    }
    // Of files whose source nothing tells: whoever ingested it meanwhile has its receipt.
    let mut done = BTreeSet::new();
    storage.list(&Ledger::folder(table), &mut |meta| {
        done.insert(hash_of(&meta.key));
        Ok(())
    })?;
    for (hash, files) in &files {
        for (key, revision) in files {
            let goes = match given_up.get(hash) {
                Some(since) => since.is_some_and(|since| *revision < since),
                None => !done.contains(hash),
            };
            if goes {
                storage.delete(key)?;
            }
        }
    }
    for source in leaving.sources.union(&leaving.withdrawn).filter(|source| !busy.contains(source)) {
        abandon::forget(storage, table, source)?;
    }
    Ok(busy)
}

/// Makes generations without the sources that were given up, of the partitions whose generations have rows of them.
fn renew(lake: &Lake, leaving: &Leaving, busy: &[String]) -> Result<(), Error> {
    let options = CompactOptions::new(std::env::temp_dir());
    let compactor = Compactor::new(lake, &options);
    let sources = leaving.sources.union(&leaving.withdrawn).filter(|source| !busy.contains(source));
    let sources: Vec<String> = sources.cloned().collect();
    // Where they have files somebody may have begun a generation with rows of them.
    let places = leaving.files.keys().filter_map(|key| Place::parse(&leaving.table, key));
    let of_files: BTreeSet<Partition> =
        places.filter(|place| place.side == Side::Rows).map(|place| place.partition).collect();
    for partition in leaving.partitions.union(&of_files) {
        compactor.refresh(&leaving.table, *partition, &sources)?;
    }
    Ok(())
}

/// Takes out a table with all that was found of it, and the views on it; which sources somebody is writing. If there is
/// one, the table stays.
///
/// # Errors
/// As [`remove`], and if the catalog fails.
pub fn drop_table(lake: &Lake, leaving: &Leaving) -> Result<Vec<String>, Error> {
    let busy = take_out(lake, leaving)?;
    if busy.is_empty() {
        // The files of a generation go after the manifest that names them.
        let of_generations = leaving.files.keys().filter(|key| place::parse(&leaving.table, key).is_some());
        for key in leaving.manifests.iter().chain(of_generations) {
            lake.storage.delete(key)?;
        }
        for view in views(lake, &leaving.table)? {
            lake.catalog.drop_view(&view)?;
        }
        lake.catalog.drop_table(&leaving.table)?;
        lake.ledger().forget(&leaving.table)?;
    }
    Ok(busy)
}

/// The names of the views on a table.
///
/// # Errors
/// If the catalog cannot be read.
pub fn views(lake: &Lake, table: &str) -> Result<Vec<String>, Error> {
    let views = lake.catalog.views()?.into_iter().filter(|view| view.table == table);
    Ok(views.map(|view| view.name).collect())
}

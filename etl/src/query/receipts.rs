//! Which files of a table a query reads: those of the newest generations, and those that receipts name of sources that are
//! in none, in partitions that the catalog has.
//!
//! In come the files below a folder of a table; out come those that are its rows, and an account of the others: what a run
//! that was stopped left, what one that goes on has written so far, what was there before a source was replaced. Receipts
//! and files are listed and compared; a receipt is read only where names do not decide, for a source that was written in
//! more than one way.
//!
//! What must stay true: receipts are listed before the files, so that a source is read whole or not at all; manifests are
//! read after the files are listed, so that a file that was swept meanwhile is in the generation that is read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::catalog::{Catalog, CatalogError, Side, TableName};
use crate::error::Error;
use crate::generation::{Generations, place};
use crate::ledger::{Ledger, LedgerError, Output};
use crate::partition::Partition;
use crate::pipeline;
use crate::place::Place;
use crate::storage::{ObjectMeta, Storage};

/// Chooses the files that are read.
#[derive(Debug)]
pub(super) struct Receipts {
    storage: Arc<dyn Storage>,
    catalog: Arc<dyn Catalog>,
    /// By table, what one query has found.
    known: Mutex<HashMap<String, Arc<Known>>>,
    /// By table and reason, what it did not read.
    left: Mutex<BTreeMap<(String, Reason), BTreeSet<String>>>,
}

/// What there is of a table beside its files.
#[derive(Debug)]
struct Known {
    /// The key of the receipt, by the hash of its source.
    receipts: HashMap<String, String>,
    /// Sources with an attempt that was not completed.
    open: HashSet<String>,
    /// Partitions of the table and of its rejects.
    partitions: HashSet<(Side, Partition)>,
}

/// What a generation shows.
struct Shown {
    outputs: Vec<ObjectMeta>,
    /// The hashes of the sources whose rows these are.
    sources: HashSet<String>,
}

/// Why files are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    NoReceipt,
    NoPartition,
}

/// What a query did not read though it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What was left out.
    pub message: String,
    /// What can be done about it.
    pub hint: &'static str,
}

impl Receipts {
    pub(super) fn new(storage: Arc<dyn Storage>, catalog: Arc<dyn Catalog>) -> Receipts {
        Receipts { storage, catalog, known: Mutex::default(), left: Mutex::default() }
    }

    /// A query begins: what an earlier one found may have changed.
    pub(super) fn forget(&self) {
        lock(&self.known).clear();
        lock(&self.left).clear();
    }

    /// What the query that was run last did not read.
    pub(super) fn unread(&self) -> Vec<Unread> {
        let left = lock(&self.left);
        let tell = |((table, reason), keys): (&(String, Reason), &BTreeSet<String>)| {
            let files = if keys.len() == 1 { "1 file".to_owned() } else { format!("{} files", keys.len()) };
            let such_as = self.storage.uri(keys.first().map_or("", String::as_str));
            match reason {
                Reason::NoReceipt => Unread {
                    message: format!("{files} of {table} not read: no receipt names them, such as {such_as}"),
                    hint: "a run is writing them, or was stopped: `iotlake backfill` of their sources completes or removes \
                           them; `iotlake audit` lists them",
                },
                Reason::NoPartition => Unread {
                    message: format!(
                        "{files} of {table} not read: the catalog lacks their partition, such as {such_as}"
                    ),
                    hint: "`iotlake backfill --replace` of their sources registers it; `iotlake audit` lists them",
                },
            }
        };
        left.iter().map(tell).collect()
    }

    /// The objects below `folder` that are read.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>, Error> {
        let name = folder.split('/').next().unwrap_or_default();
        let table = &*TableName::parse(name).name;
        let known = self.known(table)?;
        let mut files: Vec<(Option<Place>, ObjectMeta)> = Vec::new();
        self.storage.list(folder, &mut |meta| {
            files.push((Place::parse(table, &meta.key), meta));
            Ok(())
        })?;
        let generations = match TableName::parse(name).side {
            Side::Rows => self.generations(table, &folder[name.len()..])?,
            Side::Rejects => HashMap::new(),
        };
        // What is in a generation is read there and nowhere else; what others had, or will have, is no news.
        files.retain(|(place, meta)| match place {
            Some(place) => {
                let shown = generations.get(&place.partition);
                shown.is_none_or(|shown| !shown.sources.contains(&place.name.hash))
            }
            None => place::parse(table, &meta.key).is_none(),
        });
        // Sources of which names alone do not tell what their receipt names.
        let mut doubtful: HashMap<&str, Option<HashSet<String>>> = HashMap::new();
        for place in files.iter().filter_map(|(place, _)| place.as_ref()) {
            let hash = place.name.hash.as_str();
            if place.name.revision > 0 || known.open.contains(hash) {
                doubtful.entry(hash).or_default();
            }
        }
        for (hash, names) in &mut doubtful {
            if let Some(key) = known.receipts.get(*hash) {
                *names = self.names(table, key)?;
            }
        }
        let mut read = Vec::with_capacity(files.len());
        for (partition, shown) in generations {
            match known.partitions.contains(&(Side::Rows, partition)) {
                true => read.extend(shown.outputs),
                false => shown.outputs.iter().for_each(|meta| self.leave(name, Reason::NoPartition, meta)),
            }
        }
        for (place, meta) in &files {
            let is_named =
                place.as_ref().is_some_and(|Place { name, .. }| match doubtful.get(name.hash.as_str()) {
                    Some(names) => names.as_ref().is_some_and(|names| names.contains(&meta.key)),
                    None => known.receipts.contains_key(&name.hash),
                });
            let has_partition =
                place.as_ref().is_some_and(|place| known.partitions.contains(&(place.side, place.partition)));
            match (is_named, has_partition) {
                (true, true) => read.push(meta.clone()),
                (true, false) => self.leave(name, Reason::NoPartition, meta),
                // Nothing but Parquet would be read in any case.
                (false, _) if meta.key.ends_with(".parquet") => self.leave(name, Reason::NoReceipt, meta),
                _ => {}
            }
        }
        Ok(read)
    }

    fn known(&self, table: &str) -> Result<Arc<Known>, Error> {
        if let Some(known) = lock(&self.known).get(table) {
            return Ok(known.clone());
        }
        let open = pipeline::open_attempts(&*self.storage, table)?.into_iter().collect();
        let mut receipts = HashMap::new();
        self.storage.list(&Ledger::folder(table), &mut |meta| {
            let name = meta.key.rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
            if let Some(hash) = name.map(str::to_owned) {
                receipts.insert(hash, meta.key);
            }
            Ok(())
        })?;
        let mut partitions = HashSet::new();
        for side in Side::BOTH {
            let known = match self.catalog.partitions(&TableName::new(table, side)) {
                // That a catalog without a table of rejects has none of its partitions is no news.
                Err(CatalogError::NoTable { .. }) => Vec::new(),
                known => known?,
            };
            partitions.extend(known.into_iter().map(|partition| (side, partition)));
        }
        let known = Arc::new(Known { receipts, open, partitions });
        lock(&self.known).insert(table.to_owned(), known.clone());
        Ok(known)
    }

    /// What the newest generations show of the partitions whose folder begins with `folder`.
    fn generations(&self, table: &str, folder: &str) -> Result<HashMap<Partition, Shown>, Error> {
        let generations = Generations::new(&*self.storage);
        let newest = generations.newest_of(table, folder.trim_start_matches('/'))?;
        let read =
            |(partition, number): &(Partition, u32)| -> Result<_, Error> {
                let manifest = generations.read(table, *partition, *number)?.manifest;
                let sources = manifest.sources();
                let outputs = manifest.outputs.into_iter().map(|Output { key, bytes, digest, .. }| {
                    ObjectMeta { key, size: bytes, modified: None, etag: Some(digest), note: None }
                });
                Ok((*partition, Shown { outputs: outputs.collect(), sources }))
            };
        newest.par_iter().map(read).collect()
    }

    /// The keys that a receipt names; `None` if there is none any more, or it cannot be read.
    fn names(&self, table: &str, key: &str) -> Result<Option<HashSet<String>>, Error> {
        let Some(bytes) = self.storage.read(key)? else { return Ok(None) };
        match Ledger::new(self.storage.clone()).parse(key, &bytes) {
            Ok(receipt) if Ledger::key(table, &receipt.source) == key => {
                let named = receipt.outputs.into_iter().chain(receipt.rejects);
                Ok(Some(named.map(|output| output.key).collect()))
            }
            Ok(_) | Err(LedgerError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn leave(&self, name: &str, reason: Reason, meta: &ObjectMeta) {
        lock(&self.left).entry((name.to_owned(), reason)).or_default().insert(meta.key.clone());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two changes.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

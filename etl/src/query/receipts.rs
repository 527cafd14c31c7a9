//! Which files of a table a query reads: those that receipts name, in partitions that the catalog has.
//!
//! In come the files below a folder of a table; out come those that are its rows, and an account of the others: what a run
//! that was stopped left, what one that goes on has written so far, what was there before a source was replaced. Receipts
//! and files are listed and compared; a receipt is read only where names do not decide, for a source that was written in
//! more than one way.
//!
//! What must stay true: a source is read as one receipt has it, whole, or not at all, also where it is replaced meanwhile.
//! Receipts are listed before the files, so that what they name was there. A listing of files that takes its time may show
//! neither the old ones of a source nor the new. So the sources that were ever replaced are listed behind them, and where
//! there are such the receipts once more: of those that changed, the receipt as it is now decides, and what it names is
//! looked for where the listing did not show it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalog::{Catalog, CatalogError, Side, TableName};
use crate::error::Error;
use crate::ledger::{Ledger, LedgerError};
use crate::partition::Partition;
use crate::place::Place;
use crate::storage::{ObjectMeta, Storage, StorageError};

/// How often the files of a source are looked for while it is replaced again and again.
const TRIES: u32 = 8;

/// Chooses the files that a query reads, from what it finds when it is first asked about a table.
#[derive(Debug)]
pub struct Receipts {
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
    /// The receipts, by the hash of their source.
    receipts: HashMap<String, Listed>,
    /// Partitions of the table and of its rejects.
    partitions: HashSet<(Side, Partition)>,
}

/// A receipt as it was listed.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    key: String,
    /// Another one as soon as another receipt stands there.
    etag: Option<String>,
}

/// What receipts name below a folder, by the hash of their source and by key.
type Named = HashMap<String, BTreeMap<String, ObjectMeta>>;

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
    /// For queries over this lake. Asks for nothing yet.
    pub fn new(storage: Arc<dyn Storage>, catalog: Arc<dyn Catalog>) -> Receipts {
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

    /// The objects below `folder` of a table that are read, in the order of their keys.
    ///
    /// # Errors
    /// If the storage or the catalog cannot be read, or a source is replaced again and again meanwhile.
    pub fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>, Error> {
        let name = folder.split('/').next().unwrap_or_default();
        let table = &*TableName::parse(name).name;
        let known = self.known(table)?;
        let mut files = BTreeMap::new();
        self.storage.list(folder, &mut |meta| {
            files.insert(meta.key.clone(), meta);
            Ok(())
        })?;
        let named = self.named(table, folder, &known, &files)?;
        let mut places = named.values().flat_map(BTreeMap::keys).filter_map(|key| Place::parse(table, key));
        let is_known = |place: &Place| known.partitions.contains(&(place.side, place.partition));
        let partitions = match places.all(|place| is_known(&place)) {
            true => &known.partitions,
            // Of a receipt that came since.
            false => &self.partitions(table)?,
        };
        for of_source in named.values() {
            files.extend(of_source.iter().map(|(key, meta)| (key.clone(), meta.clone())));
        }
        let mut read = Vec::with_capacity(files.len());
        for (key, meta) in files {
            let place = Place::parse(table, &key);
            let is_named = place.as_ref().is_some_and(|Place { name, .. }| match named.get(&name.hash) {
                Some(names) => names.contains_key(&key),
                None => known.receipts.contains_key(&name.hash),
            });
            let has_partition =
                place.as_ref().is_some_and(|place| partitions.contains(&(place.side, place.partition)));
            match (is_named, has_partition) {
                (true, true) => read.push(meta),
                (true, false) => self.leave(name, Reason::NoPartition, key),
                // Nothing but Parquet would be read in any case.
                (false, _) if key.ends_with(".parquet") => self.leave(name, Reason::NoReceipt, key),
                _ => {}
            }
        }
        Ok(read)
    }

    /// What receipts name of those sources of which the names of files alone do not tell.
    fn named(
        &self,
        table: &str,
        folder: &str,
        known: &Known,
        files: &BTreeMap<String, ObjectMeta>,
    ) -> Result<Named, Error> {
        let mut doubtful = Ledger::new(self.storage.clone()).replaced(table)?;
        let mut there = HashSet::new();
        for Place { name, .. } in files.keys().filter_map(|key| Place::parse(table, key)) {
            // An older iotlake did not mark what it replaced.
            if name.revision > 0 {
                doubtful.insert(name.hash.clone());
            }
            there.insert(name.hash);
        }
        let mut named = Named::new();
        if doubtful.is_empty() {
            return Ok(named);
        }
        let now = self.receipts(table)?;
        for hash in doubtful {
            let names = match known.receipts.get(&hash) {
                // It stood all the while, and has nothing here.
                Some(before) if !there.contains(&hash) && now.get(&hash) == Some(before) => continue,
                Some(before) => self.files_of(table, folder, &before.key, files)?,
                None => BTreeMap::new(),
            };
            named.insert(hash, names);
        }
        Ok(named)
    }

    /// The files below `folder` that the receipt under `key` names: all of them, but for those that are missing though it
    /// stands, which is for `audit` to tell.
    fn files_of(
        &self,
        table: &str,
        folder: &str,
        key: &str,
        files: &BTreeMap<String, ObjectMeta>,
    ) -> Result<BTreeMap<String, ObjectMeta>, Error> {
        let mut before = None;
        for _ in 0..TRIES {
            let mut names = self.names(table, key)?.unwrap_or_default();
            names.retain(|name| name.starts_with(folder));
            let mut found = BTreeMap::new();
            for name in &names {
                let meta = match files.get(name) {
                    Some(meta) => Some(meta.clone()),
                    None => self.storage.head(name)?,
                };
                found.extend(meta.map(|meta| (name.clone(), meta)));
            }
            if found.len() == names.len() || before.as_ref() == Some(&names) {
                return Ok(found);
            }
            // Some are gone again: mostly since another receipt stands there now.
            before = Some(names);
        }
        Err(StorageError::Changed { uri: self.storage.uri(key) }.into())
    }

    /// The receipts of a table as they are now, by the hash of their source.
    fn receipts(&self, table: &str) -> Result<HashMap<String, Listed>, Error> {
        let mut receipts = HashMap::new();
        self.storage.list(&Ledger::folder(table), &mut |meta| {
            let name = meta.key.rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
            if let Some(hash) = name.map(str::to_owned) {
                receipts.insert(hash, Listed { key: meta.key, etag: meta.etag });
            }
            Ok(())
        })?;
        Ok(receipts)
    }

    fn known(&self, table: &str) -> Result<Arc<Known>, Error> {
        if let Some(known) = lock(&self.known).get(table) {
            return Ok(known.clone());
        }
        let known = Arc::new(Known { receipts: self.receipts(table)?, partitions: self.partitions(table)? });
        lock(&self.known).insert(table.to_owned(), known.clone());
        Ok(known)
    }

    /// The partitions that the catalog has of a table and of its rejects.
    fn partitions(&self, table: &str) -> Result<HashSet<(Side, Partition)>, Error> {
        let mut partitions = HashSet::new();
        for side in Side::BOTH {
            let known = match self.catalog.partitions(&TableName::new(table, side)) {
                // That a catalog without a table of rejects has none of its partitions is no news.
                Err(CatalogError::NoTable { .. }) => Vec::new(),
                known => known?,
            };
            partitions.extend(known.into_iter().map(|partition| (side, partition)));
        }
        Ok(partitions)
    }

    /// The keys that a receipt names; `None` if there is none any more, or it cannot be read.
    fn names(&self, table: &str, key: &str) -> Result<Option<BTreeSet<String>>, Error> {
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

    fn leave(&self, name: &str, reason: Reason, key: String) {
        lock(&self.left).entry((name.to_owned(), reason)).or_default().insert(key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two changes.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

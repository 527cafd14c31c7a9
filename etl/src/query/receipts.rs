//! Which files of a table a query reads: those of the newest generations, and those that receipts name of sources that are
//! in none, in partitions that the catalog has.
//!
//! In come the files below a folder of a table; out come those that are its rows, which rows of a generation are none any
//! more, and an account of the others: what a run that was stopped left, what one that goes on has written so far, what was
//! there before a source was replaced. Receipts and files are listed and compared; a receipt is read only where names do not
//! decide, for a source that was written in more than one way.
//!
//! What must stay true: a source is read as one receipt has it, whole, or not at all, also where it is replaced or removed
//! meanwhile, and also where generations still show what it was: **the receipt is the switch**. Of a source whose receipt
//! names other files than a generation contains, the rows in that generation are not read, and what the receipt names is.
//!
//! Receipts are listed before the files, so that what they name was there. A listing of files that takes its time may show
//! neither the old ones of a source nor the new. So the sources that were ever replaced are listed behind them, and where
//! there are such their receipts decide as they are now, and what they name is looked for where the listing did not show
//! it. Manifests are read behind that, so that a file that was swept meanwhile is in the generation that is read; should a
//! source have been replaced until then, or a file be nowhere, all of it begins again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::catalog::{Catalog, CatalogError, Side, TableName};
use crate::error::Error;
use crate::generation::{Generations, place};
use crate::ledger::{Ledger, LedgerError, Output};
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

/// What a query reads below a folder of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// The files, in the order of their keys.
    pub files: Vec<ObjectMeta>,
    /// By partition, the hashes of sources whose rows in the files of its generation are none any more: their receipts name
    /// other files, or none.
    pub stale: BTreeMap<Partition, BTreeSet<String>>,
}

/// What a generation shows.
struct Shown {
    outputs: Vec<ObjectMeta>,
    /// The files of the sources whose rows these are, by the hash of their source.
    sources: HashMap<String, BTreeSet<String>>,
}

/// A receipt as it was listed.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    key: String,
    /// Another one as soon as another receipt stands there.
    etag: Option<String>,
}

/// Files by key.
type Files = BTreeMap<String, ObjectMeta>;

/// What receipts name below a folder, by the hash of their source and by key; without what only a generation has.
type Named = HashMap<String, BTreeMap<String, Option<ObjectMeta>>>;

/// What was found below a folder of a table.
#[derive(Clone, Copy)]
struct Look<'a> {
    table: &'a str,
    folder: &'a str,
    known: &'a Known,
    files: &'a Files,
    shown: &'a HashMap<Partition, Shown>,
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

    /// What is read below `folder` of a table.
    ///
    /// # Errors
    /// If the storage or the catalog cannot be read, or a source is replaced again and again meanwhile.
    pub fn choose(&self, folder: &str) -> Result<Choice, Error> {
        let name = folder.split('/').next().unwrap_or_default();
        let table = &*TableName::parse(name).name;
        let known = self.known(table)?;
        let mut files = Files::new();
        self.storage.list(folder, &mut |meta| {
            files.insert(meta.key.clone(), meta);
            Ok(())
        })?;
        let ledger = Ledger::new(self.storage.clone());
        let mut missing_before = None;
        for _ in 0..TRIES {
            let marked = ledger.replaced(table)?;
            let shown = match TableName::parse(name).side {
                Side::Rows => self.generations(table, &folder[name.len()..])?,
                Side::Rejects => HashMap::new(),
            };
            let look = Look { table, folder, known: &known, files: &files, shown: &shown };
            let (named, missing) = self.named(&look, marked.clone())?;
            // What is gone from one look to the next was replaced; what stays missing though its receipt stands is for
            // `audit` to tell.
            let is_found = missing.is_empty() || missing_before.as_ref() == Some(&missing);
            missing_before = Some(missing);
            if is_found && (shown.is_empty() || ledger.replaced(table)? == marked) {
                return self.decide(name, &look, &named);
            }
        }
        Err(StorageError::Changed { uri: self.storage.uri(folder) }.into())
    }

    /// What is read, once it is known what receipts name.
    fn decide(&self, name: &str, look: &Look<'_>, named: &Named) -> Result<Choice, Error> {
        let Look { table, known, files, shown, .. } = *look;
        let mut files = files.clone();
        for of_source in named.values() {
            files.extend(of_source.iter().filter_map(|(key, meta)| Some((key.clone(), meta.clone()?))));
        }
        let mut places = named.values().flat_map(BTreeMap::keys).filter_map(|key| Place::parse(table, key));
        let is_known = |place: &Place| known.partitions.contains(&(place.side, place.partition));
        let partitions = match places.all(|place| is_known(&place)) {
            true => &known.partitions,
            // Of a receipt that came since.
            false => &self.partitions(table)?,
        };
        let mut choice = Choice { files: Vec::new(), stale: stale(look, named) };
        for (partition, shown) in shown {
            for meta in &shown.outputs {
                match partitions.contains(&(Side::Rows, *partition)) {
                    true => choice.files.push(meta.clone()),
                    false => self.leave(name, Reason::NoPartition, meta.key.clone()),
                }
            }
        }
        for (key, meta) in files {
            let Some(place) = Place::parse(table, &key) else {
                // Nothing but Parquet would be read in any case; what a generation had, or will have, is no news.
                if key.ends_with(".parquet") && place::parse(table, &key).is_none() {
                    self.leave(name, Reason::NoReceipt, key);
                }
                continue;
            };
            let hash = &place.name.hash;
            let contained = shown.get(&place.partition).and_then(|shown| shown.sources.get(hash));
            let is_stale = choice.stale.get(&place.partition).is_some_and(|hashes| hashes.contains(hash));
            let is_named = match named.get(hash) {
                Some(names) => names.contains_key(&key),
                None => known.receipts.contains_key(hash),
            };
            match (
                is_named && (contained.is_none() || is_stale),
                partitions.contains(&(place.side, place.partition)),
            ) {
                (true, true) => choice.files.push(meta),
                (true, false) => self.leave(name, Reason::NoPartition, key),
                // Its rows are read in the generation, or were.
                (false, _) if contained.is_some_and(|keys| !is_stale || keys.contains(&key)) => {}
                (false, _) => self.leave(name, Reason::NoReceipt, key),
            }
        }
        choice.files.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(choice)
    }

    /// What receipts name of those sources of which the names of files alone do not tell, and which of it is nowhere.
    fn named(&self, look: &Look<'_>, marked: BTreeSet<String>) -> Result<(Named, BTreeSet<String>), Error> {
        let Look { table, known, files, shown, .. } = *look;
        let mut doubtful = marked;
        let mut there = HashSet::new();
        let contained = shown.values().flat_map(|shown| shown.sources.values().flatten());
        for Place { name, .. } in files.keys().chain(contained).filter_map(|key| Place::parse(table, key)) {
            // Of one that was replaced since, or by an older iotlake, which marked nothing.
            if name.revision > 0 {
                doubtful.insert(name.hash.clone());
            }
            there.insert(name.hash);
        }
        let (mut named, mut missing) = (Named::new(), BTreeSet::new());
        if doubtful.is_empty() {
            return Ok((named, missing));
        }
        let now = self.receipts(table)?;
        for hash in doubtful {
            let names = match known.receipts.get(&hash) {
                // It stood all the while, and has nothing here.
                Some(before) if !there.contains(&hash) && now.get(&hash) == Some(before) => continue,
                Some(before) => self.files_of(look, &hash, &before.key, &mut missing)?,
                None => BTreeMap::new(),
            };
            named.insert(hash, names);
        }
        Ok((named, missing))
    }

    /// The files below the folder that the receipt under `key` names; none of those that are in a generation has to be there.
    fn files_of(
        &self,
        look: &Look<'_>,
        hash: &str,
        key: &str,
        missing: &mut BTreeSet<String>,
    ) -> Result<BTreeMap<String, Option<ObjectMeta>>, Error> {
        let Look { table, folder, files, shown, .. } = *look;
        let mut found = BTreeMap::new();
        for name in self.names(table, key)?.unwrap_or_default() {
            if !name.starts_with(folder) {
                continue;
            }
            let is_contained = Place::parse(table, &name).is_some_and(|place| {
                let sources = shown.get(&place.partition).and_then(|shown| shown.sources.get(hash));
                sources.is_some_and(|keys| keys.contains(&name))
            });
            let meta = match files.get(&name) {
                Some(meta) => Some(meta.clone()),
                None if is_contained => None,
                None => self.storage.head(&name)?,
            };
            if meta.is_none() && !is_contained {
                missing.insert(name.clone());
            }
            found.insert(name, meta);
        }
        Ok(found)
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

    /// What the newest generations show of the partitions whose folder begins with `folder`.
    fn generations(&self, table: &str, folder: &str) -> Result<HashMap<Partition, Shown>, Error> {
        let generations = Generations::new(&*self.storage);
        let newest = generations.newest_of(table, folder.trim_start_matches('/'))?;
        let read =
            |(partition, number): &(Partition, u32)| -> Result<_, Error> {
                let manifest = generations.read(table, *partition, *number)?.manifest;
                let mut sources: HashMap<String, BTreeSet<String>> = HashMap::new();
                for file in &manifest.contains {
                    if let Some(place) = Place::parse(table, &file.key) {
                        sources.entry(place.name.hash).or_default().insert(file.key.clone());
                    }
                }
                let outputs = manifest.outputs.into_iter().map(|Output { key, bytes, digest, .. }| {
                    ObjectMeta { key, size: bytes, modified: None, etag: Some(digest), note: None }
                });
                Ok((*partition, Shown { outputs: outputs.collect(), sources }))
            };
        newest.par_iter().map(read).collect()
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

/// The sources that each generation shows as they are not any more.
fn stale(look: &Look<'_>, named: &Named) -> BTreeMap<Partition, BTreeSet<String>> {
    let Look { table, known, shown, .. } = *look;
    let mut stale: BTreeMap<Partition, BTreeSet<String>> = BTreeMap::new();
    for (partition, shown) in shown {
        let is_here = |key: &&String| {
            Place::parse(table, key)
                .is_some_and(|place| (place.side, place.partition) == (Side::Rows, *partition))
        };
        for (hash, keys) in &shown.sources {
            let is_current = match named.get(hash) {
                Some(names) => names.keys().filter(is_here).eq(keys),
                None => known.receipts.contains_key(hash),
            };
            if !is_current {
                stale.entry(*partition).or_default().insert(hash.clone());
            }
        }
    }
    stale
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two changes.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Taking sources, or a whole table, out of a lake. What they were ingested from is not touched.
//!
//! In come a lake and what shall go; out comes what goes ([`find`]), then what went ([`remove`], [`drop_table`]). The order
//! of effects is such that a kill anywhere leaves a lake that audit accepts, and that the same call completes it:
//!
//! 1. Records of attempts are marked as superseded: whoever still writes a source is fenced off at its next effect.
//! 2. Receipts go. From here on a source is not done: who reads by receipts does not see it, and its files are orphans.
//! 3. Files of rows and rejects go, told by the hash of the source in their names.
//! 4. Records of attempts go; they name the files, and so stay until those have gone.
//! 5. Of a table: its views, then it and its partitions, the table itself last, so that it can be named again.
//!
//! Who ingests one of these sources again at the very moment it is removed may be left with a receipt and no files, which
//! audit finds: stop that first.
//!
//! What must stay true: a file goes only while its source has no receipt, and only if it is named as outputs are; what is
//! left of a removal that was killed is found without what has gone already.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::unclaimed;
use crate::catalog::{Side, TableName};
use crate::digest::source_hash;
use crate::error::Error;
use crate::lake::Lake;
use crate::ledger::{Ledger, LedgerError, Receipt};
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
    /// Rows of those that are done.
    pub rows: u64,
    /// Their rejects.
    pub rejected: u64,
    /// The keys of their receipts.
    pub receipts: Vec<String>,
    /// The keys of files, and their length in bytes.
    pub files: BTreeMap<String, u64>,
}

impl Leaving {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.receipts.is_empty() && self.files.is_empty()
    }

    /// The length of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    fn take(&mut self, key: String, receipt: Result<Receipt, LedgerError>) -> Result<(), Error> {
        match receipt {
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
    let mut hashes: BTreeSet<String> = leaving.sources.iter().map(|source| source_hash(source)).collect();
    if let Which::Source(source) = which {
        hashes.insert(source_hash(source));
    }
    for side in Side::BOTH {
        storage.list(&format!("{}/", TableName::new(table, side)), &mut |meta| {
            let place = Place::parse(table, &meta.key);
            if place.is_some_and(|place| which == Which::All || hashes.contains(&place.name.hash)) {
                leaving.files.insert(meta.key, meta.size);
            }
            Ok(())
        })?;
    }
    if let Which::Source(source) = which
        && !leaving.files.is_empty()
        && !source.ends_with('/')
    {
        leaving.sources.insert(source.to_owned());
    }
    Ok(leaving)
}

/// Takes out what was found; which sources somebody is writing, and therefore stay.
///
/// # Errors
/// If the storage fails; what has gone until then is gone, and the same again takes out the rest.
pub fn remove(lake: &Lake, leaving: &Leaving) -> Result<Vec<String>, Error> {
    let (storage, table) = (&*lake.storage, &*leaving.table);
    let mut busy = Vec::new();
    for source in &leaving.sources {
        if abandon::fence(storage, table, source)?.is_none() {
            busy.push(source.clone());
        }
    }
    let stays: BTreeSet<String> = busy.iter().map(|source| source_hash(source)).collect();
    let hash_of = |key: &str| key.rsplit('/').next().map_or(String::new(), |name| name.replace(".json", ""));
    for key in leaving.receipts.iter().filter(|key| !stays.contains(&hash_of(key))) {
        storage.delete(key)?;
    }
    // Whoever ingested a source meanwhile has its receipt, and keeps its files.
    let mut done = stays;
    storage.list(&Ledger::folder(table), &mut |meta| {
        done.insert(hash_of(&meta.key));
        Ok(())
    })?;
    for key in leaving.files.keys() {
        if Place::parse(table, key).is_some_and(|place| !done.contains(&place.name.hash)) {
            storage.delete(key)?;
        }
    }
    for source in leaving.sources.iter().filter(|source| !busy.contains(source)) {
        abandon::forget(storage, table, source)?;
    }
    Ok(busy)
}

/// Takes out a table with all that was found of it, and the views on it; which sources somebody is writing. If there is
/// one, the table stays.
///
/// # Errors
/// As [`remove`], and if the catalog fails.
pub fn drop_table(lake: &Lake, leaving: &Leaving) -> Result<Vec<String>, Error> {
    let busy = remove(lake, leaving)?;
    if busy.is_empty() {
        for view in views(lake, &leaving.table)? {
            lake.catalog.drop_view(&view)?;
        }
        lake.catalog.drop_table(&leaving.table)?;
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

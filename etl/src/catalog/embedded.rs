//! A catalog beside the lake, as documents in its storage: the default, which needs nothing but the storage.
//!
//! A table and a view are each one JSON document, a partition is one tiny object whose name says which. A table is
//! changed by compare-and-swap of its document; partitions are only ever added, so they need no more than put-if-absent.
//!
//! What must stay true: a table and a view never have one name. Whoever makes one looks for the other before and behind it,
//! and takes back what it made; so of two at one moment at least one sees the other.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use iotlake_flatten::{Identity, Schema, TableColumn};

use super::known::Known;
use super::{
    Catalog, CatalogError, Committed, DataFile, Evolved, Result, Side, Table, TableName, agree, check_name,
    document, register,
};
use crate::generation::Generations;
use crate::partition::Partition;
use crate::storage::{Put, Storage, Swap};
use crate::view::View;

const TABLES: &str = "_iotlake/catalog/tables/";
const PARTITIONS: &str = "_iotlake/catalog/partitions/";
const VIEWS: &str = "_iotlake/catalog/views/";

/// How often a writer tries before it gives up. With the waits between, that is about half a minute in which every
/// single time somebody else came first.
const ATTEMPTS: u32 = 200;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Tables, partitions and views under `_iotlake/catalog/` of a storage.
#[derive(Debug)]
pub struct EmbeddedCatalog {
    storage: Arc<dyn Storage>,
    /// Partitions known to be there, so that a long run asks once for each.
    known: Known,
}

impl EmbeddedCatalog {
    /// The catalog in `storage`; creates nothing.
    pub fn new(storage: Arc<dyn Storage>) -> EmbeddedCatalog {
        EmbeddedCatalog { storage, known: Known::default() }
    }

    fn read_table(&self, name: &str) -> Result<Option<(Table, Vec<u8>)>> {
        let key = table_key(name);
        let Some(bytes) = self.storage.read(&key)? else {
            self.known.forget(name);
            return Ok(None);
        };
        let table = document::read_table(&self.storage.uri(&key), name, &bytes)?;
        Ok(Some((table, bytes)))
    }

    /// Changes a table's document until no other writer interferes. `change` sees the table, if there is one, and
    /// returns what it shall be, `None` to leave it.
    fn change_table<T>(
        &self,
        name: &str,
        mut change: impl FnMut(Option<Table>) -> Result<(Option<Table>, T)>,
    ) -> Result<(T, u32)> {
        let key = table_key(name);
        for conflicts in 0..ATTEMPTS {
            let (there, bytes) = self.read_table(name)?.unzip();
            let (table, outcome) = change(there)?;
            let Some(table) = table else { return Ok((outcome, conflicts)) };
            let new = document::write_table(&table);
            if self.storage.compare_and_swap(&key, bytes.as_deref(), &new)? == Swap::Done {
                return Ok((outcome, conflicts));
            }
            wait(conflicts);
        }
        Err(CatalogError::Contended { uri: self.storage.uri(&key), attempts: ATTEMPTS })
    }

    /// The names of the documents below `prefix`, sorted, without their extension.
    fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        self.storage.list(prefix, &mut |meta| {
            names.extend(meta.key[prefix.len()..].strip_suffix(".json").map(str::to_owned));
            Ok(())
        })?;
        names.sort_unstable();
        Ok(names)
    }

    fn ensure_partition(&self, table: &TableName, partition: Partition) -> Result<bool> {
        let key = format!("{PARTITIONS}{table}/{}.json", partition.folder());
        let put = self.storage.put_if_absent(&key, &document::write_partition())?;
        self.known.add(table, &[partition]);
        Ok(put == Put::Created)
    }
}

/// Waits a random time, longer on average with every conflict, so that writers get out of each other's way.
fn wait(conflicts: u32) {
    let longest = LONGEST_WAIT.min(Duration::from_micros(500 << conflicts.min(20)));
    thread::sleep(longest.mul_f64(fastrand::f64()));
}

fn table_key(name: &str) -> String {
    format!("{TABLES}{name}.json")
}

impl Catalog for EmbeddedCatalog {
    fn tables(&self) -> Result<Vec<String>> {
        self.names(TABLES)
    }

    fn table(&self, name: &str) -> Result<Option<Table>> {
        // No table has such a name, and it may not even be a key.
        if check_name(name).is_err() {
            return Ok(None);
        }
        Ok(self.read_table(name)?.map(|(table, _)| table))
    }

    fn create_table(&self, table: &Table) -> Result<Table> {
        check_name(&table.name)?;
        let mut is_new = false;
        let change = |there: Option<Table>| {
            is_new = there.is_none();
            let Some(there) = there else {
                if self.view(&table.name)?.is_some() {
                    return Err(CatalogError::taken(&table.name, "a view"));
                }
                return Ok((Some(table.clone()), table.clone()));
            };
            let merged = agree::merge(&there, table)?;
            let outcome = merged.clone().unwrap_or(there);
            Ok((merged, outcome))
        };
        let (made, _) = self.change_table(&table.name, change)?;
        if is_new && self.view(&table.name)?.is_some() {
            self.storage.delete(&table_key(&table.name))?;
            return Err(CatalogError::taken(&table.name, "a view"));
        }
        Ok(made)
    }

    fn evolve(&self, name: &str, propose: &mut dyn FnMut(&Schema) -> Vec<Identity>) -> Result<Evolved> {
        check_name(name)?;
        let change = |there: Option<Table>| {
            let mut table = there.ok_or_else(|| CatalogError::NoTable { name: name.to_owned() })?;
            let proposed = propose(&table.schema);
            let registered: Vec<TableColumn> = register(&mut table.schema, &proposed);
            let changed = (!registered.is_empty()).then(|| table.clone());
            Ok((changed, (table, registered)))
        };
        let ((table, registered), conflicts) = self.change_table(name, change)?;
        Ok(Evolved { table, registered, conflicts })
    }

    fn commit(&self, table: &TableName, files: &[DataFile]) -> Result<Committed> {
        table.check()?;
        let unseen = self.known.unseen(table, files);
        if !unseen.is_empty() && self.storage.head(&table_key(&table.name))?.is_none() {
            self.known.forget(&table.name);
            return Err(CatalogError::NoTable { name: table.to_string() });
        }
        let mut new_partitions = 0;
        for partition in unseen {
            new_partitions += usize::from(self.ensure_partition(table, partition)?);
        }
        Ok(Committed { new_partitions })
    }

    fn partitions(&self, table: &TableName) -> Result<Vec<Partition>> {
        table.check()?;
        let names = self.names(&format!("{PARTITIONS}{table}/"))?;
        Ok(names.iter().filter_map(|folder| Partition::from_folder(folder)).collect())
    }

    /// That of the newest manifest, which lies beside the catalog: there is no second truth that could differ.
    fn location(&self, table: &TableName, partition: Partition) -> Result<Option<String>> {
        table.check()?;
        let key = format!("{PARTITIONS}{table}/{}.json", partition.folder());
        if self.storage.head(&key)?.is_none() {
            return Ok(None);
        }
        let newest = match table.side {
            Side::Rows => Generations::new(&*self.storage).latest(&table.name, partition)?,
            Side::Rejects => None,
        };
        Ok(Some(newest.map_or_else(|| partition.folder(), |manifest| manifest.location())))
    }

    fn relocate(&self, _: &TableName, _: Partition, _: &str) -> Result<()> {
        Ok(())
    }

    fn put_view(&self, view: &View) -> Result<()> {
        check_name(&view.name)?;
        if self.read_table(&view.name)?.is_some() {
            return Err(CatalogError::taken(&view.name, "a table"));
        }
        let key = format!("{VIEWS}{}.json", view.name);
        let before = self.storage.read(&key)?;
        self.storage.put(&key, &document::write_view(view))?;
        if before.is_none() && self.read_table(&view.name)?.is_some() {
            self.storage.delete(&key)?;
            return Err(CatalogError::taken(&view.name, "a table"));
        }
        Ok(())
    }

    fn drop_table(&self, name: &str) -> Result<()> {
        check_name(name)?;
        // The document last: while it is there, this can be asked for again.
        for side in Side::BOTH {
            let mut keys = Vec::new();
            self.storage.list(&format!("{PARTITIONS}{}/", TableName::new(name, side)), &mut |meta| {
                keys.push(meta.key);
                Ok(())
            })?;
            for key in keys {
                self.storage.delete(&key)?;
            }
        }
        self.storage.delete(&table_key(name))?;
        self.known.forget(name);
        Ok(())
    }

    fn drop_view(&self, name: &str) -> Result<()> {
        check_name(name)?;
        Ok(self.storage.delete(&format!("{VIEWS}{name}.json"))?)
    }

    fn views(&self) -> Result<Vec<View>> {
        let names = self.names(VIEWS)?;
        // One that was removed since it was listed is none.
        names.iter().filter_map(|name| self.view(name).transpose()).collect()
    }

    fn view(&self, name: &str) -> Result<Option<View>> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        let key = format!("{VIEWS}{name}.json");
        let Some(bytes) = self.storage.read(&key)? else { return Ok(None) };
        document::read_view(&self.storage.uri(&key), &bytes).map(Some)
    }
}

#[cfg(test)]
mod tests;

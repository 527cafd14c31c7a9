//! A catalog in memory: for tests, and for runs whose lake shall not outlive them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard};

use iotlake_flatten::{Identity, Schema};

use super::{
    Catalog, CatalogError, Committed, DataFile, Evolved, Result, Table, TableName, agree, check_name,
    register,
};
use crate::partition::Partition;
use crate::view::View;

/// Tables, partitions and views in memory.
#[derive(Debug, Default)]
pub struct MemoryCatalog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<String, Table>,
    /// With the location of each.
    partitions: BTreeMap<TableName, BTreeMap<Partition, String>>,
    views: BTreeMap<String, View>,
}

impl MemoryCatalog {
    /// An empty catalog.
    pub fn new() -> MemoryCatalog {
        MemoryCatalog::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no operation on the state panics")
    }

    fn existing(&self, name: &str) -> Result<Table> {
        self.table(name)?.ok_or_else(|| CatalogError::NoTable { name: name.to_owned() })
    }
}

impl Catalog for MemoryCatalog {
    fn tables(&self) -> Result<Vec<String>> {
        Ok(self.state().tables.keys().cloned().collect())
    }

    fn table(&self, name: &str) -> Result<Option<Table>> {
        Ok(self.state().tables.get(name).cloned())
    }

    fn create_table(&self, table: &Table) -> Result<Table> {
        check_name(&table.name)?;
        let mut state = self.state();
        if state.views.contains_key(&table.name) {
            return Err(CatalogError::taken(&table.name, "a view"));
        }
        let there = state.tables.entry(table.name.clone()).or_insert_with(|| table.clone());
        if let Some(merged) = agree::merge(there, table)? {
            *there = merged;
        }
        Ok(there.clone())
    }

    fn evolve(&self, name: &str, propose: &mut dyn FnMut(&Schema) -> Vec<Identity>) -> Result<Evolved> {
        let mut conflicts = 0;
        loop {
            // Proposed outside of the lock, as on any other catalog.
            let before = self.existing(name)?;
            let mut table = before.clone();
            let registered = register(&mut table.schema, &propose(&before.schema));
            let mut state = self.state();
            let there = state.tables.get_mut(name).filter(|there| **there == before);
            match there {
                Some(there) => {
                    *there = table.clone();
                    return Ok(Evolved { table, registered, conflicts });
                }
                None => conflicts += 1,
            }
        }
    }

    fn commit(&self, table: &TableName, files: &[DataFile]) -> Result<Committed> {
        table.check()?;
        let mut state = self.state();
        if !files.is_empty() && !state.tables.contains_key(&table.name) {
            return Err(CatalogError::NoTable { name: table.to_string() });
        }
        let known = state.partitions.entry(table.clone()).or_default();
        let mut new_partitions = 0;
        for file in files {
            if let Entry::Vacant(place) = known.entry(file.partition) {
                place.insert(file.partition.folder());
                new_partitions += 1;
            }
        }
        Ok(Committed { new_partitions })
    }

    fn partitions(&self, table: &TableName) -> Result<Vec<Partition>> {
        let state = self.state();
        Ok(state.partitions.get(table).into_iter().flat_map(BTreeMap::keys).copied().collect())
    }

    fn location(&self, table: &TableName, partition: Partition) -> Result<Option<String>> {
        Ok(self.state().partitions.get(table).and_then(|known| known.get(&partition)).cloned())
    }

    fn relocate(&self, table: &TableName, partition: Partition, folder: &str) -> Result<()> {
        let mut state = self.state();
        let known = state.partitions.get_mut(table).and_then(|known| known.get_mut(&partition));
        let location = known.ok_or_else(|| CatalogError::no_partition(table, partition))?;
        folder.clone_into(location);
        Ok(())
    }

    fn put_view(&self, view: &View) -> Result<()> {
        check_name(&view.name)?;
        let mut state = self.state();
        if state.tables.contains_key(&view.name) {
            return Err(CatalogError::taken(&view.name, "a table"));
        }
        state.views.insert(view.name.clone(), view.clone());
        Ok(())
    }

    fn drop_table(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        state.partitions.retain(|table, _| table.name != name);
        state.tables.remove(name);
        Ok(())
    }

    fn drop_view(&self, name: &str) -> Result<()> {
        self.state().views.remove(name);
        Ok(())
    }

    fn views(&self) -> Result<Vec<View>> {
        Ok(self.state().views.values().cloned().collect())
    }

    fn view(&self, name: &str) -> Result<Option<View>> {
        Ok(self.state().views.get(name).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conforms() {
        let catalog = MemoryCatalog::new();
        super::super::conformance::conformance(&catalog);
        super::super::conformance::relocations(&catalog);
    }
}

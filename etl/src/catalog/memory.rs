//! A catalog in memory: for tests, and for runs whose lake shall not outlive them.

use std::collections::{BTreeMap, BTreeSet};
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
    partitions: BTreeMap<TableName, BTreeSet<Partition>>,
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
        Ok(Committed { new_partitions: files.iter().filter(|file| known.insert(file.partition)).count() })
    }

    fn partitions(&self, table: &TableName) -> Result<Vec<Partition>> {
        let state = self.state();
        Ok(state.partitions.get(table).into_iter().flatten().copied().collect())
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
        super::super::conformance::conformance(&MemoryCatalog::new());
    }
}

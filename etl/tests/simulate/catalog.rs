//! A catalog that is not kept in the lake, as one process has it: every call is a point at which others may go on.
//!
//! The embedded catalog needs no such wrapper: all it does is done to the storage. Calls are whole here, as those of
//! Glue are; they may be refused, their answers lost, and whoever calls killed.

use std::sync::Arc;

use iotlake::catalog::{
    Catalog, CatalogError, Committed, DataFile, Evolved, MemoryCatalog, Result, Table, TableName,
};
use iotlake::partition::Partition;
use iotlake::view::View;
use iotlake_flatten::{Identity, Schema};

use crate::faults::Fault;
use crate::world::{Fate, Process, error};

/// The catalog as one process has it.
#[derive(Debug)]
pub struct Known {
    process: Arc<Process>,
    inner: Arc<MemoryCatalog>,
}

impl Known {
    pub fn new(process: &Arc<Process>, inner: &Arc<MemoryCatalog>) -> Arc<Known> {
        Arc::new(Known { process: process.clone(), inner: inner.clone() })
    }

    fn look<T>(&self, call: &str, key: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut state = self.process.world.turn(&self.process)?;
        if state.is_throttled() {
            state.note(self.process.actor, call, key, "throttled");
            return Err(error(key, std::io::ErrorKind::TimedOut).into());
        }
        state.note(self.process.actor, call, key, "read");
        act()
    }

    fn change<T>(&self, call: &str, key: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let (world, process) = (&*self.process.world, &*self.process);
        let mut state = world.turn(process)?;
        // A request that outlives its caller is one that was there before it was killed: no other can tell.
        let fate = match state.fate() {
            Fate::Late => Fate::Lost,
            Fate::KilledLate => Fate::KilledAfter,
            fate => fate,
        };
        state.note(process.actor, call, key, &format!("{fate:?}"));
        let is_done = matches!(fate, Fate::Goes | Fate::Slow | Fate::Lost | Fate::KilledAfter);
        let result = is_done.then(act);
        if is_done {
            let table = self.inner.table("events");
            let checked = match table {
                Ok(Some(table)) => state.accounts.table(&table),
                _ => Ok(()),
            };
            let checked = checked.and_then(|()| state.accounts.located(world));
            if let Err(why) = checked {
                state.breaks(why);
            }
        }
        match (fate, result) {
            (Fate::Goes | Fate::Slow, Some(result)) => result,
            (Fate::KilledBefore | Fate::KilledAfter, _) => {
                state.counts.add("processes that were killed", 1);
                Err(world.kill(state, process).into())
            }
            _ => {
                state.counts.add("answers that were lost", 1);
                Err(error(key, std::io::ErrorKind::TimedOut).into())
            }
        }
    }
}

impl Catalog for Known {
    fn tables(&self) -> Result<Vec<String>> {
        self.look("tables", "", || self.inner.tables())
    }

    fn table(&self, name: &str) -> Result<Option<Table>> {
        self.look("table", name, || self.inner.table(name))
    }

    fn create_table(&self, table: &Table) -> Result<Table> {
        self.change("make", &table.name, || self.inner.create_table(table))
    }

    fn evolve(&self, name: &str, propose: &mut dyn FnMut(&Schema) -> Vec<Identity>) -> Result<Evolved> {
        self.change("evolve", name, || self.inner.evolve(name, propose))
    }

    fn commit(&self, table: &TableName, files: &[DataFile]) -> Result<Committed> {
        if self.process.world.fault == Some(Fault::PartitionsForgotten) {
            return Ok(Committed { new_partitions: 0 });
        }
        self.change("commit", &table.to_string(), || self.inner.commit(table, files))
    }

    fn partitions(&self, table: &TableName) -> Result<Vec<Partition>> {
        self.look("parts", &table.to_string(), || self.inner.partitions(table))
    }

    fn location(&self, table: &TableName, partition: Partition) -> Result<Option<String>> {
        self.look("location", &table.to_string(), || self.inner.location(table, partition))
    }

    fn relocate(&self, table: &TableName, partition: Partition, folder: &str) -> Result<()> {
        self.change("relocate", &table.to_string(), || self.inner.relocate(table, partition, folder))
    }

    fn put_view(&self, _: &View) -> Result<()> {
        Err(CatalogError::NoTable { name: "views are not simulated".to_owned() })
    }

    fn views(&self) -> Result<Vec<View>> {
        Ok(Vec::new())
    }

    fn view(&self, _: &str) -> Result<Option<View>> {
        Ok(None)
    }

    fn drop_table(&self, name: &str) -> Result<()> {
        self.change("drop", name, || self.inner.drop_table(name))
    }

    fn drop_view(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

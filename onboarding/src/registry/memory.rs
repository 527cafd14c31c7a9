//! The registry's promises in a map, for tests of everything above the port.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use super::{Answer, Registry, Write};
use crate::iot::Page;
use crate::record::{Record, Stamp, StoredKey};

/// Items of a page, few enough that tests turn pages.
const PAGE: usize = 3;

type Table = BTreeMap<String, Record>;

/// A registry, and the quickstart's tables beside it.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    records: Mutex<Table>,
    quickstart: Mutex<BTreeMap<String, Table>>,
}

impl MemoryRegistry {
    /// An empty registry.
    pub fn new() -> MemoryRegistry {
        MemoryRegistry::default()
    }

    /// Puts a record into a table of the quickstart, or, without a name, into this one.
    pub fn put_quickstart(&self, table: Option<&str>, record: Record) {
        let record = Record { stamp: None, ..record };
        let serial = record.serial.clone();
        match table {
            None => lock(&self.records).insert(serial, record),
            Some(table) => lock(&self.quickstart).entry(table.to_owned()).or_default().insert(serial, record),
        };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write(table: &mut Table, mut record: Record) -> Write {
    record.stamp = Some(Stamp::fresh());
    table.insert(record.serial.clone(), record.clone());
    Write::Done(Box::new(record))
}

fn page(table: &Table, from: Option<String>) -> Page<Record> {
    let mut rest = table.values().filter(|record| from.as_ref().is_none_or(|from| record.serial > *from));
    let items: Vec<_> = rest.by_ref().take(PAGE).cloned().collect();
    let more = rest.next().is_some();
    let next = items.last().filter(|_| more).map(|last| last.serial.clone());
    Page { items, next }
}

impl Registry for MemoryRegistry {
    async fn get(&self, serial: &str) -> Answer<Option<Record>> {
        Ok(lock(&self.records).get(serial).cloned())
    }

    async fn claim(&self, record: Record) -> Answer<Write> {
        let mut records = lock(&self.records);
        if let Some(held) = records.get(&record.serial) {
            return Ok(Write::Lost(Some(Box::new(held.clone()))));
        }
        Ok(write(&mut records, record))
    }

    async fn swap(&self, record: Record) -> Answer<Write> {
        let mut records = lock(&self.records);
        match records.get(&record.serial) {
            Some(held) if held.stamp == record.stamp => Ok(write(&mut records, record)),
            held => Ok(Write::Lost(held.cloned().map(Box::new))),
        }
    }

    async fn remove(&self, serial: &str, stamp: Option<&Stamp>) -> Answer<bool> {
        let mut records = lock(&self.records);
        match records.get(serial) {
            Some(held) if held.stamp.as_ref() != stamp => Ok(false),
            _ => {
                records.remove(serial);
                Ok(true)
            }
        }
    }

    async fn list(&self, from: Option<String>) -> Answer<Page<Record>> {
        Ok(page(&lock(&self.records), from))
    }

    async fn quickstart(&self, table: &str, from: Option<String>) -> Answer<Page<Record>> {
        let tables = lock(&self.quickstart);
        Ok(tables.get(table).map_or_else(|| page(&Table::new(), None), |table| page(table, from)))
    }

    async fn erase_key(&self, table: &str, serial: &str) -> Answer<()> {
        let mut tables = lock(&self.quickstart);
        let record = tables.get_mut(table).and_then(|table| table.get_mut(serial));
        if let Some(identity) = record.and_then(|record| record.identity.as_mut()) {
            identity.key = StoredKey::Returned;
        }
        Ok(())
    }
}

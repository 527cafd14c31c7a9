//! What the catalog is told of the files that are written: every one that a receipt names, as it is, and no more at a
//! time than memory has room for.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use iotlake::catalog::{
    Catalog, Committed, DataFile, Evolved, MemoryCatalog, Result, Side, Table, TableName,
};
use iotlake::lake::Lake;
use iotlake::ledger::Output;
use iotlake::partition::{Partition, PartitionBy};
use iotlake::place::Place;
use iotlake::storage::{MemoryStorage, Storage};
use iotlake::view::View;
use iotlake_flatten::{Bound, ColumnSummary, Contract, Identity, Schema};
use parquet::file::metadata::ParquetMetaDataReader;

use crate::support::{dirty_source, run, small_parts};
use crate::writers::{Fate, Writer};

/// A catalog that remembers what it was told.
#[derive(Debug, Default)]
struct Told {
    inner: MemoryCatalog,
    commits: Mutex<Vec<(TableName, Vec<DataFile>)>>,
}

impl Catalog for Told {
    fn tables(&self) -> Result<Vec<String>> {
        self.inner.tables()
    }

    fn table(&self, name: &str) -> Result<Option<Table>> {
        self.inner.table(name)
    }

    fn create_table(&self, table: &Table) -> Result<Table> {
        self.inner.create_table(table)
    }

    fn evolve(&self, name: &str, propose: &mut dyn FnMut(&Schema) -> Vec<Identity>) -> Result<Evolved> {
        self.inner.evolve(name, propose)
    }

    fn commit(&self, table: &TableName, files: &[DataFile]) -> Result<Committed> {
        self.commits.lock().unwrap().push((table.clone(), files.to_vec()));
        self.inner.commit(table, files)
    }

    fn partitions(&self, table: &TableName) -> Result<Vec<Partition>> {
        self.inner.partitions(table)
    }

    fn location(&self, table: &TableName, partition: Partition) -> Result<Option<String>> {
        self.inner.location(table, partition)
    }

    fn relocate(&self, table: &TableName, partition: Partition, folder: &str) -> Result<()> {
        self.inner.relocate(table, partition, folder)
    }

    fn put_view(&self, view: &View) -> Result<()> {
        self.inner.put_view(view)
    }

    fn views(&self) -> Result<Vec<View>> {
        self.inner.views()
    }

    fn drop_table(&self, name: &str) -> Result<()> {
        self.inner.drop_table(name)
    }

    fn drop_view(&self, name: &str) -> Result<()> {
        self.inner.drop_view(name)
    }

    fn view(&self, name: &str) -> Result<Option<View>> {
        self.inner.view(name)
    }
}

fn lake() -> (Arc<Told>, Lake) {
    let told = Arc::new(Told::default());
    (told.clone(), Lake::new(Arc::new(MemoryStorage::new("lake")), told))
}

/// The files that receipts name, by key.
fn named(lake: &Lake) -> BTreeMap<String, Output> {
    let mut named = BTreeMap::new();
    let ledger = lake.ledger();
    ledger
        .list("events", |receipt| {
            let outputs = receipt.outputs.into_iter().chain(receipt.rejects);
            named.extend(outputs.map(|output| (output.key.clone(), output)));
            Ok::<_, iotlake::error::Error>(())
        })
        .unwrap();
    named
}

#[test]
fn the_catalog_is_told_of_every_file_that_a_receipt_names() {
    let (told, lake) = lake();
    run(&lake, &dirty_source(), &small_parts());
    let mut named = named(&lake);
    assert!(named.len() > 50, "{}", named.len());
    for (table, files) in &*told.commits.lock().unwrap() {
        for file in files {
            assert_eq!(named.remove(&file.key), Some(file.output()), "{}: once, as it is", file.key);
            let place = Place::parse("events", &file.key).unwrap();
            assert_eq!((&*table.name, table.side, file.partition), ("events", place.side, place.partition));
            let bytes = Bytes::from(lake.storage.read(&file.key).unwrap().unwrap());
            let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
            assert_eq!(file.columns, ColumnSummary::of_footer(&footer), "{}", file.key);
            let record = file.columns.iter().find(|column| column.name == "_record").unwrap();
            assert_eq!(record.nulls, Some(0));
            assert!(matches!(record.bounds, Some((Bound::Long(first), Bound::Long(last))) if first <= last));
        }
    }
    assert_eq!(named, BTreeMap::new(), "the catalog was not told of these");

    // What is done is not told again.
    let commits = told.commits.lock().unwrap().len();
    run(&lake, &dirty_source(), &small_parts());
    assert_eq!(told.commits.lock().unwrap().len(), commits);
}

#[test]
fn a_source_of_very_many_files_is_committed_in_batches() {
    const HOURS: u64 = 1_300;
    let mut lines = String::new();
    for hour in 0..HOURS {
        writeln!(lines, "{{\"ts\":{}}}", 1_772_352_000_000 + hour * 3_600_000).unwrap();
    }
    let from = MemoryStorage::new("raw");
    from.put("2026/03/01/08/x", lines.as_bytes()).unwrap();
    let (told, lake) = lake();
    run(&lake, &from, &small_parts());
    let commits = told.commits.lock().unwrap();
    let sizes: Vec<usize> = commits.iter().map(|(_, files)| files.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>() as u64, HOURS);
    assert!(sizes.len() == 2 && sizes[0] < 1024 + 256, "{sizes:?}");
    assert!(commits.iter().all(|(table, _)| table.side == Side::Rows));
}

#[test]
fn a_table_and_a_view_of_one_name_exclude_each_other_at_any_moment() {
    let table = || Table::new("x", Schema::new(Contract::default()), PartitionBy::Arrival);
    let view = || View { name: "x".to_owned(), table: "base".to_owned(), columns: Vec::new() };
    for (is_table_first, after) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let storage = Arc::new(MemoryStorage::new("lake"));
        let lake = Lake::embedded(storage.clone());
        lake.catalog.create_table(&Table { name: "base".to_owned(), ..table() }).unwrap();
        let other = Lake::embedded(storage.clone());
        let meanwhile = move || {
            drop(if is_table_first {
                other.catalog.put_view(&view())
            } else {
                other.catalog.create_table(&table()).map(drop)
            });
        };
        let writer = Writer::new(&storage, Some((after, Fate::Interrupted(Box::new(meanwhile)))));
        let first = writer.lake();
        drop(if is_table_first {
            first.catalog.create_table(&table()).map(drop)
        } else {
            first.catalog.put_view(&view())
        });
        let there = (lake.catalog.table("x").unwrap().is_some(), lake.catalog.view("x").unwrap().is_some());
        assert_ne!(there, (true, true), "table first: {is_table_first}, after {after} effects");
    }
}

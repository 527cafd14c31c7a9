//! Running a backfill in a test, and looking at everything it left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use iotlake::backfill::{self, Options, Summary};
use iotlake::lake::Lake;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::Run;
use iotlake::plan::{PlanOptions, Selection, plan};
use iotlake::storage::{MemoryStorage, Storage};
use iotlake_fixtures::{Dirt, Gzip, Kit};
use iotlake_flatten::Contract;

/// Options under which `table` is made anew.
pub fn options(contract: Contract, partition_by: PartitionBy) -> Options {
    Options {
        run: Run { partition_by, allow_missing_time: true, ..Run::new("events") },
        contract,
        key_pattern: None,
        view: None,
        jobs: 1,
    }
}

/// By event time, in parts so small that every source has several.
pub fn small_parts() -> Options {
    options(Contract { part_bytes: 4096, ..Contract::default() }, "event:ts".parse().unwrap())
}

/// Dirty kit messages in Firehose-named objects, some of them gzip.
pub fn dirty_source() -> MemoryStorage {
    let dirt = Dirt::spread(0.15).unwrap();
    let kit = Kit {
        seed: 11,
        devices: 30,
        hours: 4,
        objects_per_hour: 2,
        dirt,
        gzip: Gzip::Hour(2),
        ..Kit::sample()
    };
    let storage = MemoryStorage::new("raw");
    for object in kit.objects() {
        storage.put(&object.key, &object.bytes).unwrap();
    }
    storage
}

/// A lake in memory.
pub fn memory_lake() -> Lake {
    Lake::embedded(Arc::new(MemoryStorage::new("lake")))
}

/// Backfills all of `from`.
pub fn try_run(lake: &Lake, from: &dyn Storage, options: &Options) -> Result<Summary, iotlake::error::Error> {
    let planned = PlanOptions {
        known_as: Some("s3://raw".into()),
        partition_by: options.run.partition_by.clone(),
        ..PlanOptions::default()
    };
    let plan = plan(from, &Selection::Folder(String::new()), &planned)?;
    backfill::backfill(lake, from, &plan, options, &AtomicBool::new(false), &())
}

/// The same, where nothing may fail, and the lake keeps every rule afterwards.
pub fn run(lake: &Lake, from: &dyn Storage, options: &Options) -> Summary {
    let summary = try_run(lake, from, options).unwrap();
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
    assert!(summary.balances(), "{summary:?}");
    let audit =
        iotlake::audit::audit(&*lake.storage, &*lake.catalog, iotlake::audit::Depth::Footers).unwrap();
    assert!(audit.is_clean(), "{:?}", audit.findings);
    summary
}

/// Every object of a lake that means something: all but locks and leftovers of writes.
pub fn contents(storage: &dyn Storage) -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::new();
    let mut keys = Vec::new();
    storage
        .list("", &mut |meta| {
            keys.push(meta.key);
            Ok(())
        })
        .unwrap();
    for key in keys {
        if !key.starts_with("_iotlake/tmp/") && !key.starts_with("_iotlake/locks/") {
            let bytes = storage.read(&key).unwrap().unwrap();
            contents.insert(key, bytes);
        }
    }
    contents
}

/// Fails with the first key that differs; whole lakes are too long to print.
#[track_caller]
pub fn assert_same(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>, why: &str) {
    let keys: Vec<_> =
        left.keys().chain(right.keys()).filter(|key| left.get(*key) != right.get(*key)).collect();
    assert!(keys.is_empty(), "{why}: {} objects differ, the first is {}", keys.len(), keys[0]);
}

/// The columns of a Parquet file with the number of their values.
pub fn columns(file: &[u8]) -> BTreeMap<String, usize> {
    use arrow::array::Array;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.to_vec())).unwrap();
    let mut columns = BTreeMap::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            *columns.entry(field.name().clone()).or_default() += array.len() - array.null_count();
        }
    }
    columns
}

/// `_source` and `_record` of every row of a Parquet file.
pub fn lineage(file: &[u8]) -> Vec<(String, i64)> {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.to_vec())).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let sources = batch.column_by_name("_source").unwrap().as_string::<i32>().clone();
        let records = batch.column_by_name("_record").unwrap().as_primitive::<Int64Type>().clone();
        let pairs = sources.iter().zip(records.iter());
        rows.extend(pairs.map(|(source, record)| (source.unwrap().to_owned(), record.unwrap())));
    }
    rows
}

/// `_source` and `_record` of every row that a query sees, sorted.
#[cfg(feature = "query")]
pub fn rows_of_query(lake: &Lake) -> Vec<(String, i64)> {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    let session = iotlake::query::Session::open(lake).unwrap();
    let answer = session.run("SELECT _source, _record FROM events ORDER BY 1, 2").unwrap();
    let rows = answer.batches.iter().flat_map(|batch| {
        let (sources, records) =
            (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        let row = |row| (sources.value(row).to_owned(), records.value(row));
        (0..batch.num_rows()).map(row).collect::<Vec<_>>()
    });
    rows.collect()
}

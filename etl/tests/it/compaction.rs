//! Compaction: every row once, whoever works beside it, wherever it is stopped.

mod grace;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use iotlake::audit::{Depth, audit};
use iotlake::backfill::Options;
use iotlake::catalog::{Catalog, MemoryCatalog, TableName};
use iotlake::compact::{CompactError, CompactOptions, Compactor, Outcome, Swept, survey};
use iotlake::digest::source_hash;
use iotlake::generation::{Generations, place};
use iotlake::lake::Lake;
use iotlake::partition::{Partition, PartitionBy};
use iotlake::query::{Choice, Receipts};
use iotlake::source::KeyPattern;
use iotlake::storage::{Body, MemoryStorage, ObjectMeta, Put, Storage, StorageError, Swap, Visitor};
use iotlake_flatten::{Contract, Path};
use parquet::file::metadata::ParquetMetaDataReader;

use crate::support::{
    assert_same, columns, contents, dirty_source, lineage, memory_lake, options, run, small_parts, try_run,
};

const TABLE: &str = "events";

fn hour() -> Partition {
    Partition::new(2026, 3, 1, 9).unwrap()
}

/// No file waits for anybody.
fn at_once() -> CompactOptions {
    CompactOptions { grace: Duration::ZERO, ..CompactOptions::new(std::env::temp_dir()) }
}

/// Sources of one hour, of so many messages each, all of a version.
fn sources(names: &[&str], version: u32) -> MemoryStorage {
    let storage = MemoryStorage::new("raw");
    for name in names {
        let lines: Vec<String> = (0..3)
            .map(|at| {
                format!(
                    "{{\"device\":\"d{}\",\"ts\":{at},\"v\":{version},\"of\":\"{name}\"}}\n",
                    (at * 7) % 4
                )
            })
            .collect();
        storage.put(&format!("2026/03/01/09/{name}"), lines.concat().as_bytes()).unwrap();
    }
    storage
}

fn by_arrival() -> Options {
    let sort = vec![Path::dotted("device"), Path::dotted("ts")];
    options(Contract { sort, ..Contract::default() }, PartitionBy::Arrival)
}

fn replacing() -> Options {
    let mut options = by_arrival();
    options.run.replace = true;
    options
}

/// Compacts all partitions.
fn compact_all(lake: &Lake, options: &CompactOptions) -> Vec<Outcome> {
    let compactor = Compactor::new(lake, options);
    let partitions = survey(lake, TABLE).unwrap().into_iter().map(|survey| survey.partition);
    partitions.map(|partition| compactor.partition(TABLE, partition).unwrap()).collect()
}

fn sweep_all(lake: &Lake, options: &CompactOptions) -> Swept {
    let compactor = Compactor::new(lake, options);
    let mut all = Swept::default();
    for survey in survey(lake, TABLE).unwrap() {
        let swept = compactor.sweep(TABLE, survey.partition, SystemTime::now()).unwrap();
        all = Swept {
            files: all.files + swept.files,
            bytes: all.bytes + swept.bytes,
            kept: all.kept + swept.kept,
        };
    }
    all
}

/// What a reader through the catalog reads.
fn choice(lake: &Lake) -> Choice {
    Receipts::new(lake.storage.clone(), lake.catalog.clone()).choose("events/").unwrap()
}

/// The keys of what a reader through the catalog reads.
fn visible(lake: &Lake) -> Vec<String> {
    choice(lake).files.into_iter().map(|meta| meta.key).collect()
}

/// What `rows` finds in the files that a reader through the catalog reads, without what that reader leaves out.
fn read<T>(lake: &Lake, rows: impl Fn(&[u8]) -> Vec<(String, T)>) -> Vec<(String, T)> {
    let Choice { files, stale } = choice(lake);
    let mut all = Vec::new();
    for meta in files {
        let bytes = lake.storage.read(&meta.key).unwrap().unwrap_or_else(|| panic!("{} is gone", meta.key));
        let hidden = place::parse(TABLE, &meta.key).and_then(|folder| stale.get(&folder.partition));
        let is_hidden = |source: &str| hidden.is_some_and(|hashes| hashes.contains(&source_hash(source)));
        all.extend(rows(&bytes).into_iter().filter(|(source, _)| !is_hidden(source)));
    }
    all
}

/// `_source`, `_record` of every row that a reader through the catalog sees, sorted.
fn seen(lake: &Lake) -> Vec<(String, i64)> {
    let mut rows = read(lake, lineage);
    rows.sort();
    rows
}

/// The values of `v` of what is seen, by source: one version each.
fn versions(lake: &Lake) -> BTreeMap<String, BTreeSet<String>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (source, version) in read(lake, version_of_rows) {
        versions.entry(source).or_default().insert(version);
    }
    versions
}

fn version_of_rows(file: &[u8]) -> Vec<(String, String)> {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.to_vec())).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let source = batch.column_by_name("_source").unwrap().as_string::<i32>().clone();
        let version = batch.column_by_name("v").unwrap().as_primitive::<Float64Type>().clone();
        rows.extend(
            (0..batch.num_rows()).map(|row| (source.value(row).to_owned(), version.value(row).to_string())),
        );
    }
    rows
}

#[track_caller]
fn assert_sound(lake: &Lake, why: &str) {
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert!(audit.is_clean(), "{why}: {:?}", audit.findings);
}

/// Every value of every row, by column, of the files that are seen.
fn values(lake: &Lake) -> BTreeMap<String, usize> {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for key in visible(lake) {
        for (column, count) in columns(&lake.storage.read(&key).unwrap().unwrap()) {
            *all.entry(column).or_default() += count;
        }
    }
    all.retain(|_, count| *count > 0);
    all
}

#[test]
fn a_compacted_lake_has_every_row_and_value_in_fewer_files() {
    let lake = memory_lake();
    run(&lake, &dirty_source(), &small_parts());
    let (before, had) = (seen(&lake), values(&lake));
    let files = |lake: &Lake| -> u64 {
        let surveys = survey(lake, TABLE).unwrap();
        surveys.iter().map(|survey| survey.files + u64::from(survey.generation > 0)).sum()
    };
    let many = files(&lake);
    let outcomes = compact_all(&lake, &at_once());
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Outcome::Done(_))), "{outcomes:?}");
    assert_eq!((seen(&lake) == before, values(&lake) == had), (true, true));
    assert!(files(&lake) * 3 < many, "{} of {many}", files(&lake));
    assert_sound(&lake, "before the sweep");
    let swept = sweep_all(&lake, &at_once());
    assert!(swept.files > 20 && swept.kept == 0, "{swept:?}");
    assert_eq!((seen(&lake) == before, values(&lake) == had), (true, true));
    assert_sound(&lake, "after the sweep");

    // Again, there is nothing to do, and nothing is done.
    let there = contents(&*lake.storage);
    assert!(compact_all(&lake, &at_once()).iter().all(|outcome| *outcome == Outcome::Nothing { waiting: 0 }));
    assert_eq!(sweep_all(&lake, &at_once()), Swept::default());
    assert_same(&contents(&*lake.storage), &there, "a second time");
    // What is done is not ingested again.
    assert_eq!(run(&lake, &dirty_source(), &small_parts()).done, 0);
    assert_same(&contents(&*lake.storage), &there, "delivered again");
}

#[test]
fn the_bytes_of_a_generation_are_those_of_its_rows() {
    let made = |options: &CompactOptions| {
        let lake = memory_lake();
        run(&lake, &dirty_source(), &small_parts());
        compact_all(&lake, options);
        contents(&*lake.storage)
    };
    let expected = made(&at_once());
    // So little memory that every batch goes to the disk, and runs are merged in several steps.
    assert_same(&made(&CompactOptions { memory: 3_000, ..at_once() }), &expected, "in little memory");

    // Some first, the rest late: the same files as at once, but for what they say of their number.
    let (lake, all) = (memory_lake(), sources(&["a", "b", "c", "d"], 1));
    run(&lake, &sources(&["b", "d"], 1), &by_arrival());
    compact_all(&lake, &at_once());
    run(&lake, &all, &by_arrival());
    assert_eq!(seen(&lake).len(), 12, "late rows are seen at once");
    compact_all(&lake, &at_once());
    let other = memory_lake();
    run(&other, &all, &by_arrival());
    compact_all(&other, &at_once());
    let rows = |lake: &Lake| lineage(&lake.storage.read(&visible(lake)[0]).unwrap().unwrap());
    assert_eq!(rows(&lake), rows(&other));
    assert_eq!(seen(&lake), seen(&other));
    assert_sound(&lake, "late");
}

#[test]
fn a_generation_is_sorted_and_says_what_readers_skip_by() {
    let lake = memory_lake();
    run(&lake, &sources(&["a", "b", "c"], 1), &by_arrival());
    compact_all(&lake, &at_once());
    let files = visible(&lake);
    assert_eq!(files.len(), 1);
    assert!(files[0].starts_with("events/year=2026/month=03/day=01/hour=0%39/g1-"), "{}", files[0]);
    let bytes = bytes::Bytes::from(lake.storage.read(&files[0]).unwrap().unwrap());
    let footer = ParquetMetaDataReader::new()
        .with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required)
        .parse_and_finish(&bytes)
        .unwrap();
    let group = footer.row_group(0);
    let column =
        |name: &str| group.columns().iter().find(|column| column.column_path().string() == name).unwrap();
    assert!(column("device").bloom_filter_offset().is_some() && column("ts").bloom_filter_offset().is_none());
    assert!(
        group
            .columns()
            .iter()
            .all(|column| column.statistics().is_some() && column.column_index_offset().is_some())
    );
    let sorting: Vec<_> = group.sorting_columns().unwrap().iter().map(|by| by.column_idx).collect();
    let names: Vec<_> = sorting.iter().map(|at| group.column(*at as usize).column_path().string()).collect();
    assert_eq!(names, ["device", "ts", "_source", "_record"]);
    // One device after the other, each by time.
    let records: Vec<i64> = lineage(&bytes).into_iter().map(|(_, record)| record).collect();
    assert_eq!(records, [1, 1, 1, 3, 3, 3, 2, 2, 2]);
}

/// A storage on which something happens in front of one of its calls, reads included, and which may die there.
struct Stepped<F> {
    inner: Arc<MemoryStorage>,
    calls: AtomicU32,
    /// In front of which call, and what; it dies where that says so.
    at: u32,
    act: F,
    dead: std::sync::atomic::AtomicBool,
}

impl<F> std::fmt::Debug for Stepped<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stepped")
    }
}

impl<F: Fn() -> bool + Send + Sync> Stepped<F> {
    fn new(inner: &Arc<MemoryStorage>, at: u32, act: F) -> Arc<Stepped<F>> {
        Arc::new(Stepped { inner: inner.clone(), calls: AtomicU32::new(0), at, act, dead: false.into() })
    }

    fn step(&self) -> Result<(), StorageError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at && !(self.act)() {
            self.dead.store(true, Ordering::SeqCst);
        }
        match self.dead.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(StorageError::from_io("dead".to_owned(), std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Whether it came so far.
    fn has_acted(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.at
    }
}

impl<F: Fn() -> bool + Send + Sync> Storage for Stepped<F> {
    fn uri(&self, key: &str) -> String {
        self.inner.uri(key)
    }
    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        self.step()?;
        self.inner.head(key)
    }
    fn get(&self, key: &str) -> Result<Body, StorageError> {
        self.step()?;
        self.inner.get(key)
    }
    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, StorageError> {
        self.step()?;
        self.inner.get_range(key, range)
    }
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.step()?;
        self.inner.put(key, bytes)
    }
    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put, StorageError> {
        self.step()?;
        self.inner.put_if_absent(key, bytes)
    }
    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap, StorageError> {
        self.step()?;
        self.inner.compare_and_swap(key, expected, new)
    }
    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<(), StorageError> {
        self.step()?;
        self.inner.list_while(prefix, visit)
    }
    fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.step()?;
        self.inner.delete(key)
    }
}

/// A lake with three sources of version 1, of which `compacted` are in a generation.
fn begun(compacted: bool) -> Arc<MemoryStorage> {
    let storage = Arc::new(MemoryStorage::new("lake"));
    let lake = Lake::embedded(storage.clone());
    run(&lake, &sources(&["a", "b", "c"], 1), &by_arrival());
    if compacted {
        compact_all(&lake, &at_once());
        run(&lake, &sources(&["d"], 1), &by_arrival());
    }
    storage
}

/// Compacts the hour and sweeps it, as one command does.
fn command(lake: &Lake) -> Result<Outcome, CompactError> {
    let options = at_once();
    let compactor = Compactor::new(lake, &options);
    let outcome = compactor.partition(TABLE, hour())?;
    compactor.sweep(TABLE, hour(), SystemTime::now())?;
    Ok(outcome)
}

/// That no folder has a file which nobody will read.
#[track_caller]
fn assert_swept(storage: &Arc<MemoryStorage>, why: &str) {
    let lake = Lake::embedded(storage.clone());
    let choice = choice(&lake);
    assert_eq!(choice.stale, BTreeMap::new(), "{why}");
    let shown: BTreeSet<String> = choice.files.into_iter().map(|meta| meta.key).collect();
    let there: BTreeSet<String> =
        contents(&**storage).into_keys().filter(|key| key.ends_with(".parquet")).collect();
    assert_eq!(there, shown, "{why}");
}

#[test]
fn killed_in_front_of_any_call_readers_see_every_row_once_and_the_next_run_completes_it() {
    for compacted in [false, true] {
        let expected = seen(&Lake::embedded(begun(compacted)));
        for at in 0.. {
            let storage = begun(compacted);
            let lake = Lake::embedded(storage.clone());
            let dying = Stepped::new(&storage, at, || false);
            let died = command(&Lake::embedded(dying.clone())).is_err();
            let why = format!("killed at call {at}");
            assert_eq!(died, dying.has_acted(), "{why}");
            assert_eq!(seen(&lake), expected, "{why}");
            assert_sound(&lake, &why);
            command(&lake).unwrap();
            assert_eq!(seen(&lake), expected, "{why}, completed");
            assert_sound(&lake, &why);
            assert_swept(&storage, &why);
            if !died {
                assert!(at > 20, "only {at} calls");
                break;
            }
        }
    }
}

#[test]
fn of_two_compactors_one_wins_and_rows_are_there_once() {
    // What another one does in front of each call of the first: the same; the same after a late source came; the same with
    // other options.
    for (late, zstd) in [(false, false), (true, false), (false, true), (true, true)] {
        for at in 0.. {
            let storage = begun(true);
            let whole = Lake::embedded(storage.clone());
            let other = storage.clone();
            let stepped = Stepped::new(&storage, at, move || {
                let lake = Lake::embedded(other.clone());
                if late {
                    run(&lake, &sources(&["e"], 1), &by_arrival());
                }
                let mut options = at_once();
                if zstd {
                    options.compression = iotlake_flatten::Compression::Zstd;
                }
                let compactor = Compactor::new(&lake, &options);
                compactor.partition(TABLE, hour()).unwrap();
                compactor.sweep(TABLE, hour(), SystemTime::now()).unwrap();
                true
            });
            let why = format!("late {late}, zstd {zstd}, call {at}");
            // Where its inputs were swept under its hands it may say so.
            drop(command(&Lake::embedded(stepped.clone())));
            let count = if late && stepped.has_acted() { 15 } else { 12 };
            assert_eq!(seen(&whole).len(), count, "{why}");
            assert_eq!(seen(&whole).iter().collect::<BTreeSet<_>>().len(), count, "{why}");
            assert_sound(&whole, &why);
            command(&whole).unwrap();
            assert_eq!(seen(&whole).len(), count, "{why}");
            assert_swept(&storage, &why);
            if !stepped.has_acted() {
                break;
            }
        }
    }
}

/// `_source`, `_record` of every row below the location that the catalog has, as Athena lists it.
fn by_location(storage: &MemoryStorage, catalog: &MemoryCatalog) -> Vec<(String, i64)> {
    let location = catalog.location(&TableName::rows(TABLE), hour()).unwrap().unwrap();
    let below = format!("{TABLE}/{location}/");
    let files = contents(storage).into_iter().filter(|(key, _)| key.starts_with(&below));
    let mut rows: Vec<_> = files.flat_map(|(_, file)| lineage(&file)).collect();
    rows.sort();
    rows
}

#[test]
fn readers_by_location_see_every_row_once_in_front_of_any_call_and_late_ones_after_it() {
    for at in 0.. {
        let mut calls = 0;
        for lives in [true, false] {
            let storage = Arc::new(MemoryStorage::new("lake"));
            let catalog = Arc::new(MemoryCatalog::new());
            let lake = Lake::new(storage.clone(), catalog.clone());
            run(&lake, &sources(&["a", "b", "c"], 1), &by_arrival());
            command(&lake).unwrap();
            run(&lake, &sources(&["d"], 1), &by_arrival());
            let (late, all) = (by_location(&storage, &catalog), seen(&lake));
            assert_eq!((late.len(), all.len()), (9, 12));
            let why = format!("lives {lives}, call {at}");
            let (beside, there) = (storage.clone(), catalog.clone());
            let stepped = Stepped::new(&storage, at, {
                let (late, all, why) = (late.clone(), all.clone(), why.clone());
                move || {
                    let rows = by_location(&beside, &there);
                    assert!(rows == late || rows == all, "{why}: {rows:?}");
                    lives
                }
            });
            drop(command(&Lake::new(stepped.clone(), catalog.clone())));
            let rows = by_location(&storage, &catalog);
            assert!(rows == late || rows == all, "{why}: {rows:?}");
            command(&lake).unwrap();
            assert_eq!(by_location(&storage, &catalog), all, "{why}");
            assert_sound(&lake, &why);
            calls += u32::from(stepped.has_acted());
        }
        if calls == 0 {
            break;
        }
    }
}

#[test]
fn a_location_that_is_not_that_of_the_newest_generation_is_found_and_mended() {
    let storage = Arc::new(MemoryStorage::new("lake"));
    let catalog = Arc::new(MemoryCatalog::new());
    let lake = Lake::new(storage.clone(), catalog.clone());
    run(&lake, &sources(&["a", "b", "c"], 1), &by_arrival());
    command(&lake).unwrap();
    let rows = TableName::rows(TABLE);
    catalog.relocate(&rows, hour(), &hour().folder()).unwrap();
    let found = audit(&*storage, &*catalog, Depth::Footers).unwrap();
    let rules: Vec<_> = found.findings.iter().map(|finding| finding.rule.code()).collect();
    assert_eq!((rules, found.generations.drift.len()), (vec!["location"], 1));
    let options = at_once();
    let compactor = Compactor::new(&lake, &options);
    // Nothing is swept from under those who read where the catalog says.
    assert_eq!(compactor.sweep(TABLE, hour(), SystemTime::now()).unwrap(), Swept::default());
    assert!(!compactor.place(TABLE, hour()).unwrap(), "the sweep has mended it");
    assert_eq!(by_location(&storage, &catalog).len(), 9);
    assert_sound(&lake, "mended");
    // A catalog that is made again says the same.
    let again = Arc::new(MemoryCatalog::new());
    let whole: Arc<dyn Storage> = storage.clone();
    let contract = by_arrival().contract;
    let rebuilt = iotlake::rebuild::read(&whole, TABLE, &contract, &KeyPattern::default()).unwrap();
    iotlake::rebuild::write(&*again, &rebuilt).unwrap();
    assert_eq!(again.location(&rows, hour()).unwrap(), catalog.location(&rows, hour()).unwrap());
    let columns = |catalog: &MemoryCatalog| catalog.table(TABLE).unwrap().unwrap().schema.columns().to_vec();
    assert_eq!(columns(&again), columns(&catalog));
}

/// Every source of version 1 or 2, whole, once; `c` of version 2 if it is `done`.
#[track_caller]
fn check_versions(lake: &Lake, done: bool, why: &str) {
    let seen = seen(lake);
    assert_eq!(seen.len(), seen.iter().collect::<BTreeSet<_>>().len(), "{why}: twice");
    for (source, versions) in versions(lake) {
        assert_eq!(versions.len(), 1, "{why}: {source} of {versions:?}");
        if done {
            let expected = if source.ends_with("/c") { "2" } else { "1" };
            assert_eq!(versions.first().map(String::as_str), Some(expected), "{why}: {source}");
        }
    }
    assert!(seen.len() >= 9, "{why}: {}", seen.len());
}

#[test]
fn a_source_that_is_ingested_anew_is_old_or_new_wherever_the_run_is_killed() {
    for at in 0.. {
        let storage = begun(true);
        let lake = Lake::embedded(storage.clone());
        let again = sources(&["c"], 2);
        let dying = Stepped::new(&storage, at, || false);
        drop(try_run(&Lake::embedded(dying.clone()), &again, &replacing()));
        let why = format!("killed at call {at}");
        check_versions(&lake, false, &why);
        // Whatever the generation has: the receipt is the switch.
        let receipt = lake.ledger().head(TABLE, "s3://raw/2026/03/01/09/c").unwrap().unwrap();
        check_versions(&lake, receipt.revision > 0, &why);
        let summary = run(&lake, &again, &replacing());
        assert!(summary.unrenewed.is_empty(), "{why}");
        check_versions(&lake, true, &why);
        assert_sound(&lake, &why);
        command(&lake).unwrap();
        check_versions(&lake, true, &why);
        assert_swept(&storage, &why);
        if !dying.has_acted() {
            assert!(at > 20, "only {at} calls");
            break;
        }
    }
}

#[test]
fn what_a_replacement_that_was_killed_left_the_next_backfill_completes() {
    for at in 0.. {
        let storage = begun(true);
        let lake = Lake::embedded(storage.clone());
        let dying = Stepped::new(&storage, at, || false);
        drop(try_run(&Lake::embedded(dying.clone()), &sources(&["c"], 2), &replacing()));
        let receipt = lake.ledger().head(TABLE, "s3://raw/2026/03/01/09/c").unwrap().unwrap();
        if receipt.revision > 0 {
            let why = format!("killed at call {at}");
            // Without --replace: the source is as its receipt says.
            run(&lake, &sources(&["c"], 2), &by_arrival());
            check_versions(&lake, true, &why);
            assert_sound(&lake, &why);
        }
        if !dying.has_acted() {
            break;
        }
    }
}

#[test]
fn a_source_is_ingested_anew_in_front_of_any_call_of_a_compactor() {
    for compacted in [false, true] {
        for at in 0.. {
            let storage = begun(compacted);
            let lake = Lake::embedded(storage.clone());
            let other = storage.clone();
            let stepped = Stepped::new(&storage, at, move || {
                run(&Lake::embedded(other.clone()), &sources(&["c"], 2), &replacing());
                true
            });
            drop(command(&Lake::embedded(stepped.clone())));
            let why = format!("compacted {compacted}, call {at}");
            check_versions(&lake, stepped.has_acted(), &why);
            assert_sound(&lake, &why);
            command(&lake).unwrap();
            check_versions(&lake, stepped.has_acted(), &why);
            assert_swept(&storage, &why);
            if !stepped.has_acted() {
                break;
            }
        }
    }
}

#[test]
fn a_partition_is_compacted_in_front_of_any_call_of_a_replacement() {
    for compacted in [false, true] {
        for at in 0.. {
            let storage = begun(compacted);
            let lake = Lake::embedded(storage.clone());
            let other = storage.clone();
            let stepped = Stepped::new(&storage, at, move || {
                command(&Lake::embedded(other.clone())).unwrap();
                true
            });
            let why = format!("compacted {compacted}, call {at}");
            let summary = try_run(&Lake::embedded(stepped.clone()), &sources(&["c"], 2), &replacing());
            let summary = summary.unwrap_or_else(|error| panic!("{why}: {error:?}"));
            assert!(summary.failed.is_empty() && summary.unrenewed.is_empty(), "{why}: {summary:?}");
            check_versions(&lake, true, &why);
            assert_sound(&lake, &why);
            command(&lake).unwrap();
            check_versions(&lake, true, &why);
            assert_swept(&storage, &why);
            if !stepped.has_acted() {
                break;
            }
        }
    }
}

#[test]
fn a_file_that_is_not_what_its_receipt_says_is_never_compacted() {
    let storage = begun(false);
    let lake = Lake::embedded(storage.clone());
    let key = contents(&*storage).into_keys().find(|key| key.ends_with(".parquet")).unwrap();
    let mut bytes = storage.read(&key).unwrap().unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    storage.put(&key, &bytes).unwrap();
    let before = contents(&*storage);
    let error = command(&lake).unwrap_err();
    assert!(matches!(error, CompactError::Damaged { .. } | CompactError::Arrow(_)), "{error:?}");
    let mut after = contents(&*storage);
    after.retain(|key, _| !key.ends_with(".begun"));
    assert_same(&after, &before, "damaged");
}

#[test]
fn a_record_that_is_a_row_twice_ends_it() {
    let storage = begun(false);
    let lake = Lake::embedded(storage.clone());
    let expected = seen(&lake);
    // As if two manifests could name one source: its rows come from the generation and from the folder.
    command(&lake).unwrap();
    let generations = Generations::new(&*storage);
    let mut manifest = generations.latest(TABLE, hour()).unwrap().unwrap();
    let cut = manifest.contains.pop().unwrap();
    manifest.contains[0].rows += cut.rows;
    let key = Generations::manifest_key(TABLE, hour(), 1);
    storage.put(&key, &manifest.to_bytes()).unwrap();
    run_unaudited(&lake, &storage, &cut.key);
    let error = command(&lake).unwrap_err();
    assert!(matches!(error, CompactError::Twice { .. }), "{error:?}");
    assert_eq!(expected.len(), 9);
}

/// Puts the file of the source back that was swept.
fn run_unaudited(lake: &Lake, storage: &Arc<MemoryStorage>, key: &str) {
    let other = begun(false);
    storage.put(key, &other.read(key).unwrap().unwrap()).unwrap();
    assert!(lake.storage.head(key).unwrap().is_some());
}

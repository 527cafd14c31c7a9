//! The invariants of a backfill: the same lake whatever happens on the way to it, and accounts that balance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use iotlake::audit::Depth;
use iotlake::backfill;
use iotlake::decode::OnDamage;
use iotlake::error::Hint;
use iotlake::lake::Lake;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::PipelineError;
use iotlake::plan::{PlanOptions, Selection, plan};
use iotlake::rebuild;
use iotlake::source::KeyPattern;
use iotlake::storage::{Durability, LocalStorage, MemoryStorage, Storage};
use iotlake_flatten::{Contract, Type};

use crate::support::{assert_same, contents, dirty_source, memory_lake, options, run, small_parts, try_run};
use crate::writers::{Fate, Writer};

#[test]
fn threads_jobs_and_the_kind_of_storage_do_not_show() {
    let source = dirty_source();
    let expected = {
        let lake = memory_lake();
        let summary = run(&lake, &source, &small_parts());
        assert!(summary.counts.rejected > 10 && summary.counts.files > 50, "{summary:?}");
        contents(&*lake.storage)
    };
    for (threads, jobs) in [(2, 1), (8, 1), (1, 2), (1, 3), (2, 3)] {
        let mut options = small_parts();
        options.run.threads = threads;
        options.jobs = jobs;
        let lake = memory_lake();
        run(&lake, &source, &options);
        assert_same(&contents(&*lake.storage), &expected, &format!("{threads} threads, {jobs} jobs"));
    }
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStorage::create(folder.path()).unwrap().with_durability(Durability::None);
    let lake = Lake::embedded(Arc::new(local));
    run(&lake, &source, &small_parts());
    assert_same(&contents(&*lake.storage), &expected, "on local disk");
}

#[test]
fn a_second_run_changes_nothing() {
    let source = dirty_source();
    let lake = memory_lake();
    let first = run(&lake, &source, &small_parts());
    let before = contents(&*lake.storage);
    let second = run(&lake, &source, &small_parts());
    assert_eq!((second.done, second.already_done), (0, first.done));
    assert_eq!(second.counts.files, 0);
    assert_same(&contents(&*lake.storage), &before, "run twice");
}

#[test]
fn stopped_at_any_of_its_effects_and_run_again_the_lake_is_the_same() {
    let source = dirty_source();
    let lake = memory_lake();
    run(&lake, &source, &small_parts());
    let expected = contents(&*lake.storage);
    let mut after = 0;
    loop {
        let memory = Arc::new(MemoryStorage::new("lake"));
        let dying = Writer::new(&memory, Some((after, Fate::Killed))).lake();
        // Stops at the first failure, as a killed process would.
        let mut options = small_parts();
        let died = match try_run(&dying, &source, &options) {
            Ok(summary) => !summary.failed.is_empty(),
            Err(_) => true,
        };
        let lake = Lake::embedded(memory.clone());
        // What is there is part of the whole, and no file of it is half written.
        for (key, bytes) in contents(&*memory) {
            let is_document =
                key.starts_with("_iotlake/catalog/tables") || key.starts_with("_iotlake/attempts");
            assert!(is_document || expected.get(&key) == Some(&bytes), "{key} after {after} effects");
        }
        options.jobs = 1 + (after as usize % 2);
        run(&lake, &source, &options);
        assert_same(&contents(&*memory), &expected, &format!("stopped after {after} effects"));
        if !died {
            break;
        }
        // Every effect of the first sources, then a sample.
        after += if after < 60 { 1 } else { 17 };
    }
    assert!(after > 80, "only {after} effects");
}

#[test]
fn a_run_that_is_asked_to_stop_leaves_what_the_next_one_completes() {
    let source = dirty_source();
    let lake = memory_lake();
    run(&lake, &source, &small_parts());
    let expected = contents(&*lake.storage);

    struct StopAfter<'a>(&'a AtomicBool, AtomicI64);
    impl backfill::Observer for StopAfter<'_> {
        fn read(&self, _: u64) {
            if self.1.fetch_sub(1, Ordering::SeqCst) == 0 {
                self.0.store(true, Ordering::SeqCst);
            }
        }
    }
    for after in [0, 1, 3, 6] {
        let lake = memory_lake();
        let mut options = small_parts();
        options.jobs = 2;
        let planned = PlanOptions {
            known_as: Some("s3://raw".into()),
            partition_by: options.run.partition_by.clone(),
            ..PlanOptions::default()
        };
        let plan = plan(&source, &Selection::Folder(String::new()), &planned).unwrap();
        let stop = AtomicBool::new(false);
        let observer = StopAfter(&stop, AtomicI64::new(after));
        let summary = backfill::backfill(&lake, &source, &plan, &options, &stop, &observer).unwrap();
        assert!(summary.interrupted && summary.not_reached > 0 && summary.balances(), "{summary:?}");
        run(&lake, &source, &options);
        assert_same(&contents(&*lake.storage), &expected, &format!("stopped after {after} reads"));
    }
}

#[test]
fn with_all_paths_declared_the_order_of_sources_does_not_matter() {
    let source = dirty_source();
    // What the records bring, declared.
    let lake = memory_lake();
    run(&lake, &source, &small_parts());
    let table = lake.catalog.table("events").unwrap().unwrap();
    let text = iotlake::contract::table_to_toml(&table.schema);
    let contract = iotlake::contract::parse("contract", &text).unwrap();
    let options = options(contract, PartitionBy::Arrival);

    let mut expected = None;
    let keys: Vec<String> = contents(&source).into_keys().collect();
    for rotation in 0..keys.len() {
        let lake = memory_lake();
        for at in 0..keys.len() {
            // Some orders go backwards.
            let at = if rotation % 2 == 0 { at } else { keys.len() - 1 - at };
            let key = &keys[(at + rotation) % keys.len()];
            let one = MemoryStorage::new("raw");
            one.put(key, &source.read(key).unwrap().unwrap()).unwrap();
            run(&lake, &one, &options);
        }
        let contents = contents(&*lake.storage);
        match &expected {
            None => expected = Some(contents),
            Some(expected) => assert_same(&contents, expected, &format!("rotation {rotation}")),
        }
    }
}

#[test]
fn writers_that_race_lose_no_column_and_no_row() {
    let source = dirty_source();
    let storage = Arc::new(MemoryStorage::new("lake"));
    let expected = run(&memory_lake(), &source, &small_parts()).counts;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let lake = Lake::embedded(storage.clone());
            let source = &source;
            scope.spawn(move || run(&lake, source, &small_parts()));
        }
    });
    let lake = Lake::embedded(storage);
    let mut rows = 0;
    let mut rejected = 0;
    lake.ledger()
        .list("events", |receipt| {
            rows += receipt.counts.rows;
            rejected += receipt.counts.rejected;
            Ok::<_, iotlake::ledger::LedgerError>(())
        })
        .unwrap();
    assert_eq!((rows, rejected), (expected.rows, expected.rejected));
    let again = run(&lake, &source, &small_parts());
    assert_eq!(again.done, 0);
}

fn one(key: &str, bytes: &[u8]) -> MemoryStorage {
    let storage = MemoryStorage::new("raw");
    storage.put(key, bytes).unwrap();
    storage
}

const KEY: &str = "2026/03/01/09/iot-1-2026-03-01-09-00-00-x";

#[test]
fn a_source_that_changed_is_a_conflict_until_it_is_replaced() {
    let lake = memory_lake();
    let mut options = options(Contract::default(), PartitionBy::Arrival);
    run(&lake, &one(KEY, b"{\"ts\":1}\n{\"ts\":2}\nnot json\n"), &options);
    let changed = one(KEY, b"{\"ts\":1}\n{\"ts\":3}\n{\"ts\":4}\n\n");
    let before = contents(&*lake.storage);
    let summary = try_run(&lake, &changed, &options).unwrap();
    assert!(matches!(summary.failed[..], [(_, PipelineError::Changed { .. })]), "{summary:?}");
    assert_same(&contents(&*lake.storage), &before, "a conflict");

    options.run.replace = true;
    run(&lake, &changed, &options);
    let fresh = memory_lake();
    run(&fresh, &changed, &options);
    // The same rows under names of their own, and nothing of the old version.
    let rows = |lake: &Lake| -> Vec<(String, Vec<u8>)> {
        let files = contents(&*lake.storage).into_iter().filter(|(key, _)| key.ends_with(".parquet"));
        files.map(|(key, bytes)| (key.replace("-r1.", "."), bytes)).collect()
    };
    assert_eq!(rows(&lake), rows(&fresh));
    options.run.replace = false;
    assert_eq!(run(&lake, &changed, &options).already_done, 1);
}

#[test]
fn a_foreign_file_in_the_place_of_an_output_is_not_overwritten() {
    let options = options(Contract::default(), PartitionBy::Arrival);
    let source = one(KEY, b"{\"ts\":1}\n");
    let lake = memory_lake();
    run(&lake, &source, &options);
    let key = contents(&*lake.storage).into_keys().find(|key| key.starts_with("events/")).unwrap();
    let other = memory_lake();
    other.storage.put(&key, b"something else").unwrap();
    let summary = try_run(&other, &source, &options).unwrap();
    assert!(matches!(summary.failed[..], [(_, PipelineError::Conflict { .. })]), "{summary:?}");
    assert_eq!(other.storage.read(&key).unwrap().unwrap(), b"something else");
}

#[test]
fn a_damaged_source_fails_whole_or_gives_what_a_checksum_verifies_and_one_reject() {
    use iotlake_fixtures::gzip::{Coding, member};
    use std::io::Write;
    let mut text = Vec::new();
    for ts in 0..20_000 {
        writeln!(text, "{{\"ts\":{ts},\"noise\":\"{:x}\"}}", ts * 2_654_435_761_u64).unwrap();
    }
    // The second member is cut off in its middle; the first ends in the middle of a record.
    let mut stored = member(&text[..400_001], Coding::Deflate);
    let rest = member(&text[400_001..], Coding::Deflate);
    stored.extend(&rest[..rest.len() / 2]);
    let source = one(KEY, &stored);
    for part_bytes in [4096, 64 << 20] {
        let mut options =
            options(Contract { part_bytes, ..Contract::default() }, "event:ts".parse().unwrap());
        let lake = memory_lake();
        let summary = try_run(&lake, &source, &options).unwrap();
        let [(_, PipelineError::Decode { source: error, .. })] = &summary.failed[..] else {
            panic!("{summary:?}")
        };
        assert!(error.is_damage() && error.hint().unwrap().contains("--on-damage reject"), "{error}");
        let written: Vec<_> = contents(&*lake.storage).into_keys().collect();
        assert_eq!(written, ["_iotlake/catalog/tables/events.json"], "nothing of it is written");

        options.run.on_damage = OnDamage::Reject;
        let mut expected = None;
        for threads in [1, 3] {
            options.run.threads = threads;
            let lake = memory_lake();
            let summary = run(&lake, &source, &options);
            let rows = text[..400_001].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!((summary.counts.rows, summary.counts.rejected), (rows, 1), "{summary:?}");
            assert_eq!(summary.rejects_by_reason.get("stream"), Some(&1), "{summary:?}");
            assert!(summary.warnings[0].contains("400001 decoded bytes"), "{:?}", summary.warnings);
            let found = contents(&*lake.storage);
            assert_same(expected.get_or_insert_with(|| found.clone()), &found, "whatever the threads");
        }
    }
}

#[test]
fn where_so_many_keys_come_that_columns_run_out_every_job_count_gives_the_same_lake() {
    let source = MemoryStorage::new("raw");
    for object in 0..6 {
        let mut text = String::new();
        for record in 0..400 {
            let (a, b) = (record * 7 % 300, record * 13 % 90);
            text += &format!(
                "{{\"k{a:03}\":{record},\"o\":{{\"x{object}_{b}\":{{\"y\":\"z\"}}}},\"ts\":{record}}}\n"
            );
        }
        source.put(&format!("2026/03/01/{object:02}/o"), text.as_bytes()).unwrap();
    }
    let mut options = options(Contract::default(), PartitionBy::Arrival);
    options.contract.part_bytes = 5000;
    options.run.limits.children = 100;
    options.run.limits.columns = 150;
    options.run.limits.discovered = 60;
    let lake = memory_lake();
    let first = run(&lake, &source, &options);
    assert_eq!(first.counts.rows, 2400);
    let columns = lake.catalog.table("events").unwrap().unwrap().schema.columns().len();
    assert!((100..=150).contains(&columns), "{columns} columns");
    let expected = contents(&*lake.storage);
    for jobs in [2, 4] {
        options.jobs = jobs;
        options.run.threads = jobs;
        let lake = memory_lake();
        run(&lake, &source, &options);
        assert_same(&contents(&*lake.storage), &expected, &format!("{jobs} jobs"));
    }
}

#[test]
fn a_declared_path_keeps_its_place_in_a_crowd() {
    let contract = Contract::default().declare("zz", Type::Double);
    let mut options = options(contract, PartitionBy::Arrival);
    options.run.limits.columns = 5;
    options.run.limits.discovered = 4;
    let text: String = (0..50).map(|at| format!("{{\"k{at}\":1,\"zz\":{at}.5}}\n")).collect();
    let lake = memory_lake();
    run(&lake, &one(KEY, text.as_bytes()), &options);
    let receipt = lake.ledger().head("events", &format!("s3://raw/{KEY}")).unwrap().unwrap();
    let file = lake.storage.read(&receipt.outputs[0].key).unwrap().unwrap();
    let columns = crate::support::columns(&file);
    assert_eq!(columns["zz"], 50);
    assert!(columns["_overflow"] > 40, "{columns:?}");
}

#[test]
fn a_catalog_that_was_lost_is_made_again_byte_for_byte() {
    let source = dirty_source();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new("lake"));
    let lake = Lake::embedded(storage.clone());
    run(&lake, &source, &small_parts());
    let whole = contents(&*storage);
    let is_catalog = |key: &&String| key.starts_with("_iotlake/catalog/");
    assert!(whole.keys().filter(is_catalog).count() > 5);
    for key in whole.keys().filter(is_catalog) {
        storage.delete(key).unwrap();
    }
    let lake = Lake::embedded(storage.clone());
    assert!(!iotlake::audit::audit(&*storage, &*lake.catalog, Depth::Footers).unwrap().is_clean());
    let contract = small_parts().contract;
    assert_eq!(rebuild::tables(&*storage).unwrap().into_iter().collect::<Vec<_>>(), ["events"]);
    let rebuilt = rebuild::read(&storage, "events", &contract, &KeyPattern::default()).unwrap();
    assert!(rebuild::write(&*lake.catalog, &rebuilt).unwrap());
    assert_same(&contents(&*storage), &whole, "made again");
    // Again, it finds nothing to do.
    assert!(!rebuild::write(&*lake.catalog, &rebuilt).unwrap());
    assert_same(&contents(&*storage), &whole, "made again twice");
    // Ingesting goes on as if nothing had happened.
    let summary = run(&lake, &source, &small_parts());
    assert_eq!((summary.done, summary.counts.files), (0, 0));
}

#[test]
fn a_full_disk_ends_the_run_once_and_a_later_one_does_the_rest() {
    let whole = memory_lake();
    let from = dirty_source();
    run(&whole, &from, &small_parts());
    for after in [0, 9, 30] {
        let storage = Arc::new(MemoryStorage::new("lake"));
        // The table is there; then the disk fills up.
        backfill::ensure_table(&Lake::embedded(storage.clone()), &small_parts()).unwrap();
        let writer = Writer::new(&storage, Some((after, Fate::Full)));
        let summary = try_run(&writer.lake(), &from, &small_parts()).unwrap();
        let [(identity, error)] = &summary.failed[..] else { panic!("{:?}", summary.failed) };
        assert!(identity.starts_with("s3://raw/") && error.ends_all(), "{identity}: {error}");
        assert!(summary.not_reached > 0 && !summary.interrupted && summary.balances(), "{summary:?}");
        let lake = Lake::embedded(storage.clone());
        run(&lake, &from, &small_parts());
        assert_same(&contents(&*storage), &contents(&*whole.storage), "with room again");
    }
}

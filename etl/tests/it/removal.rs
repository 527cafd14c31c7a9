//! Sources and tables taken out of a lake, by somebody who is killed at any effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use iotlake::audit::{Depth, audit};
use iotlake::backfill::Options;
use iotlake::lake::Lake;
use iotlake::partition::PartitionBy;
use iotlake::remove::{self, Which};
use iotlake::storage::{MemoryStorage, Storage};
use iotlake::view::rigado_view;
use iotlake_flatten::Contract;

use crate::support::{assert_same, contents, options, run, try_run};
use crate::writers::{Fate, Writer};

/// Three sources of several parts, each with a reject, below two folders.
fn sources() -> MemoryStorage {
    let from = MemoryStorage::new("raw");
    for (key, hour) in [("2026/03/01/08/a", 8), ("2026/03/01/08/b", 9), ("2026/03/01/09/c", 9)] {
        let line = |at: u64| {
            format!(
                "{{\"ts\":{},\"text\":\"{}\"}}\n",
                1_772_323_200_000 + (hour * 3600 + at) * 1000,
                "x".repeat(60)
            )
        };
        let text: String = (0..90).map(line).collect();
        from.put(key, (text + "broken\n").as_bytes()).unwrap();
    }
    from
}

fn by_event() -> Options {
    options(Contract { part_bytes: 4096, ..Contract::default() }, "event:ts".parse().unwrap())
}

fn lake_with(objects: &BTreeMap<String, Vec<u8>>) -> (Arc<MemoryStorage>, Lake) {
    let storage = Arc::new(MemoryStorage::new("lake"));
    for (key, bytes) in objects {
        storage.put(key, bytes).unwrap();
    }
    (storage.clone(), Lake::embedded(storage))
}

/// All objects of a lake with the three sources and a view.
fn filled() -> BTreeMap<String, Vec<u8>> {
    filled_by(&by_event())
}

fn filled_by(how: &Options) -> BTreeMap<String, Vec<u8>> {
    let (storage, lake) = lake_with(&BTreeMap::new());
    assert_eq!(run(&lake, &sources(), how).counts.rows, 270);
    lake.catalog.put_view(&rigado_view("events")).unwrap();
    contents(&*storage)
}

fn take_out(lake: &Lake, which: Which<'_>) -> Result<(), iotlake::error::Error> {
    let leaving = remove::find(lake, "events", which)?;
    let busy = match which {
        Which::All => remove::drop_table(lake, &leaving)?,
        Which::Source(_) => remove::remove(lake, &leaving)?,
    };
    assert_eq!(busy, [""; 0]);
    Ok(())
}

#[track_caller]
fn assert_accepted(lake: &Lake, why: &str) {
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Footers).unwrap();
    assert!(audit.is_clean(), "{why}: {:?}", audit.findings);
}

#[test]
fn killed_at_any_effect_audit_accepts_the_lake_and_the_same_again_completes_it() {
    let filled = filled();
    for (which, sources_left) in [
        (Which::All, 0),
        (Which::Source("s3://raw/2026/03/01/08/a"), 2),
        (Which::Source("s3://raw/2026/03/01/08/"), 1),
    ] {
        let (storage, lake) = lake_with(&filled);
        take_out(&lake, which).unwrap();
        let expected = contents(&*storage);
        let is_given_up = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\"given_up\": true");
        let receipts = expected.iter().filter(|(key, _)| key.starts_with("_iotlake/receipts/"));
        let receipts = receipts.filter(|(_, bytes)| !is_given_up(bytes)).count();
        let files = |name: &str| expected.keys().filter(|key| key.starts_with(name)).count();
        assert_eq!((receipts, files("events_rejects/")), (sources_left, sources_left), "{which:?}");
        assert_eq!(files("events/") > 0, sources_left > 0, "{which:?}");
        assert_eq!(expected.is_empty(), which == Which::All, "{which:?}");
        for after in 0.. {
            let why = format!("{which:?}, killed after {after} effects");
            let (storage, lake) = lake_with(&filled);
            let writer = Writer::new(&storage, Some((after, Fate::Killed)));
            let ended = take_out(&writer.lake(), which);
            assert_eq!(ended.is_err(), writer.is_dead(), "{why}");
            assert_accepted(&lake, &why);
            take_out(&lake, which).unwrap();
            assert_same(&contents(&*storage), &expected, &why);
            assert_accepted(&lake, &why);
            if !writer.is_dead() {
                assert!(after > 3, "{which:?} has several effects");
                break;
            }
        }
    }
}

#[test]
fn what_was_taken_out_can_be_ingested_again() {
    let filled = filled();
    let (_, lake) = lake_with(&filled);
    for _ in 0..2 {
        take_out(&lake, Which::Source("s3://raw/2026/03/01/08/b")).unwrap();
        assert!(remove::find(&lake, "events", Which::Source("s3://raw/2026/03/01/08/b")).unwrap().is_empty());
        assert_eq!(run(&lake, &sources(), &by_event()).done, 1);
        let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
        assert_eq!((audit.findings, audit.orphans, audit.rows), (vec![], vec![], 270));
    }
}

/// Each way in which one goes between two effects of the other.
#[test]
fn who_ingests_a_source_while_it_is_taken_out_has_it_whole_or_not_at_all() {
    let all = Which::Source("s3://raw/");
    // Of several parts, which is recorded, and of one, which is not.
    let by_arrival = || options(Contract::default(), PartitionBy::Arrival);
    for (how, is_filled) in
        [(by_event(), true), (by_event(), false), (by_arrival(), true), (by_arrival(), false)]
    {
        let start = if is_filled { filled_by(&how) } else { BTreeMap::new() };
        for after in 0.. {
            let (storage, whole) = lake_with(&start);
            let beside = Lake::embedded(storage.clone());
            let act = move || drop(take_out(&beside, all));
            let writer = Writer::new(&storage, Some((after, Fate::Interrupted(Box::new(act)))));
            drop(try_run(&writer.lake(), &sources(), &how));
            let got_so_far = writer.effects() > after;
            check(&whole, &how, &format!("taken out after {after} effects of a run, filled {is_filled}"));
            if !got_so_far {
                break;
            }
        }
    }
    for by in [by_event, by_arrival] {
        let filled = filled_by(&by());
        for after in 0.. {
            let (storage, whole) = lake_with(&filled);
            let beside = Lake::embedded(storage.clone());
            let act = move || drop(try_run(&beside, &sources(), &by()));
            let remover = Writer::new(&storage, Some((after, Fate::Interrupted(Box::new(act)))));
            take_out(&remover.lake(), all).unwrap();
            let got_so_far = remover.effects() > after;
            check(&whole, &by(), &format!("ingested after {after} effects of a removal"));
            if !got_so_far {
                break;
            }
        }
    }
}

/// Audit accepts the lake, and a run over everything has it whole.
#[track_caller]
fn check(lake: &Lake, how: &Options, why: &str) {
    assert_accepted(lake, why);
    run(lake, &sources(), how);
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert_eq!((audit.findings, audit.rows, audit.rejected), (vec![], 270, 3), "{why}");
}

#[test]
fn what_a_run_that_was_killed_had_begun_goes_too() {
    for after in 2..12 {
        let storage = Arc::new(MemoryStorage::new("lake"));
        let writer = Writer::new(&storage, Some((after, Fate::Killed)));
        drop(try_run(&writer.lake(), &sources(), &by_event()));
        let lake = Lake::embedded(storage.clone());
        take_out(&lake, Which::Source("s3://raw/")).unwrap();
        let left = contents(&*storage);
        assert!(
            left.keys().all(|key| key.starts_with("_iotlake/") && !key.contains("/attempts/")),
            "killed after {after}: {:?}",
            left.keys()
        );
    }
}

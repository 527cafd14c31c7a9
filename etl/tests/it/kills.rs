//! The real binary, killed at random, and three of it at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iotlake::audit::{Depth, audit};
use iotlake::lake::Lake;
use iotlake_fixtures::{Dirt, Gzip, Kit, SplitMix64};

use crate::support::{assert_same, contents};

fn write_source(folder: &Path, hours: u32) {
    let dirt = Dirt::spread(0.1).unwrap();
    let kit = Kit {
        seed: 23,
        devices: 40,
        hours,
        objects_per_hour: 3,
        messages_per_hour: 12,
        dirt,
        ..Kit::sample()
    };
    for object in (Kit { gzip: Gzip::Hour(1), ..kit }).objects() {
        let path = folder.join(&object.key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &object.bytes).unwrap();
    }
    std::fs::write(
        folder.with_extension("toml"),
        "part_bytes = 16384\n\n[[column]]\npath = \"ts\"\ntype = \"bigint\"\n",
    )
    .unwrap();
}

fn start(source: &Path, lake: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_iotlake"))
        .args([
            "backfill",
            "--quiet",
            "--partition-by",
            "event:ts",
            "--jobs",
            "2",
            "--threads",
            "1",
            "--contract",
        ])
        .arg(source.with_extension("toml"))
        .arg("--lake")
        .args([lake, source])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Exit code 3: done, with rejects; 0 where the runs that were killed had left nothing to do.
#[track_caller]
fn finish(child: &mut Child) {
    assert!(matches!(child.wait().unwrap().code(), Some(0 | 3)));
}

#[track_caller]
fn check_clean(lake: &Lake) {
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert!(audit.is_clean(), "{:?}", audit.findings);
    assert!(audit.orphans.is_empty(), "{:?}", audit.orphans);
}

#[test]
fn killed_a_hundred_times_at_random_the_lake_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("raw");
    std::fs::create_dir(&source).unwrap();
    write_source(&source, 6);
    let whole = folder.path().join("whole");
    let begin = Instant::now();
    finish(&mut start(&source, &whole));
    let duration = begin.elapsed();
    let whole = Lake::open_local(&whole).unwrap();
    let expected = contents(&*whole.storage);
    assert!(
        expected.keys().filter(|key| key.ends_with("-00001.parquet")).count() > 5,
        "sources have several parts"
    );
    check_clean(&whole);

    let mut random = SplitMix64::new(99);
    let mut kills = 0;
    let mut round = 0;
    while kills < 100 {
        let path = folder.path().join(format!("lake{round}"));
        round += 1;
        for _ in 0..6 {
            let mut child = start(&source, &path);
            let share = f64::from(random.below(1000)) / 1000.0;
            std::thread::sleep(Duration::from_secs_f64(duration.as_secs_f64() * share * 0.8));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            child.wait().unwrap();
        }
        finish(&mut start(&source, &path));
        let lake = Lake::open_local(&path).unwrap();
        assert_same(&contents(&*lake.storage), &expected, &format!("after {kills} kills"));
        check_clean(&lake);
    }
}

#[test]
fn three_processes_at_once_lose_nothing_and_duplicate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("raw");
    std::fs::create_dir(&source).unwrap();
    write_source(&source, 3);
    let alone = folder.path().join("alone");
    finish(&mut start(&source, &alone));
    let alone = Lake::open_local(&alone).unwrap();
    let path = folder.path().join("lake");
    let mut children: Vec<Child> = (0..3).map(|_| start(&source, &path)).collect();
    for child in &mut children {
        // One that found everything done has no rejects of its own to report.
        assert!(matches!(child.wait().unwrap().code(), Some(0 | 3)));
    }
    let lake = Lake::open_local(&path).unwrap();
    check_clean(&lake);
    // The order in which columns came may differ from that of a single process, but not which, nor any row.
    let columns = |lake: &Lake| {
        let table = lake.catalog.table("events").unwrap().unwrap();
        let mut columns: Vec<_> =
            table.schema.columns().iter().map(|column| column.identity.clone()).collect();
        columns.sort();
        columns
    };
    assert_eq!(columns(&lake), columns(&alone));
    assert_eq!(rows(&lake), rows(&alone));
}

/// (`_source`, `_record`) of every row and reject, sorted.
fn rows(lake: &Lake) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    for (key, file) in contents(&*lake.storage) {
        if key.ends_with(".parquet") {
            rows.extend(crate::support::lineage(&file));
        }
    }
    rows.sort();
    let all = rows.len();
    rows.dedup();
    assert_eq!(rows.len(), all, "a row stands twice");
    rows
}

/// Compacts in a process of its own; superseded files go at once.
fn compact(lake: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_iotlake"))
        .args(["compact", "--quiet", "--grace", "0", "--jobs", "1", "--lake"])
        .arg(lake)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Every file below a folder that has its whole name.
fn names(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    // What is listed may be gone.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true if entry.file_name() != "tmp" && entry.file_name() != "locks" => names(&entry.path(), found),
            true => {}
            false => drop(found.insert(entry.path())),
        }
    }
}

#[cfg(feature = "query")]
#[test]
fn killed_after_each_effect_of_a_compaction_the_rows_are_the_same_and_the_next_one_completes_it() {
    use crate::support::rows_of_query;
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("raw");
    std::fs::create_dir(&source).unwrap();
    write_source(&source, 3);
    let plain = folder.path().join("plain");
    finish(&mut start(&source, &plain));
    let whole = folder.path().join("whole");
    copy(&plain, &whole);
    assert!(compact(&whole).wait().unwrap().success());
    let whole = Lake::open_local(&whole).unwrap();
    let (rows, expected) = (rows_of_query(&whole), contents(&*whole.storage));
    assert_eq!(rows_of_query(&Lake::open_local(&plain).unwrap()), rows);

    let mut kills = 0;
    for effects in 1.. {
        let path = folder.path().join(format!("killed-{effects}"));
        copy(&plain, &path);
        let mut before = BTreeSet::new();
        names(&path, &mut before);
        let mut child = compact(&path);
        let has_ended = loop {
            let mut now = BTreeSet::new();
            names(&path, &mut now);
            if before.symmetric_difference(&now).count() >= effects {
                child.kill().unwrap();
                // It may have come to its end meanwhile.
                break child.wait().unwrap().success();
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status.success();
            }
        };
        kills += u32::from(!has_ended);
        let lake = Lake::open_local(&path).unwrap();
        assert_eq!(rows_of_query(&lake), rows, "after {effects} effects");
        check_clean(&lake);
        assert!(compact(&path).wait().unwrap().success());
        assert_eq!(rows_of_query(&lake), rows, "after {effects} effects, completed");
        assert_same(&contents(&*lake.storage), &expected, &format!("after {effects} effects, completed"));
        std::fs::remove_dir_all(&path).unwrap();
        if has_ended {
            break;
        }
    }
    assert!(kills >= 5, "only {kills} were killed on their way");
}

//! A source has one way at a time to be written: whatever happens meanwhile, its rows are complete and once.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use iotlake::backfill::Options;
use iotlake::clean::{self, Stale};
use iotlake::error::Hint;
use iotlake::lake::Lake;
use iotlake::ledger::Ledger;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::PipelineError;
use iotlake::storage::{Durability, LocalStorage, MemoryStorage, Storage};
use iotlake_flatten::{Compression, Contract, Identity, Kind, Path};

use crate::support::{options, run, try_run};
use crate::writers::{Fate, Run, Writer, check_by_receipts, check_whole, files, receipt, stopped_beside};

const KEY: &str = "2026/03/01/09/iot-1-2026-03-01-09-00-00-x";

fn source(text: &str) -> MemoryStorage {
    let storage = MemoryStorage::new("raw");
    storage.put(KEY, text.as_bytes()).unwrap();
    storage
}

fn lake() -> Arc<MemoryStorage> {
    Arc::new(MemoryStorage::new("lake"))
}

/// So many messages from one hour on, and every seventh no message.
fn messages(count: u32, ts: u64) -> String {
    (0..count).fold(String::new(), |mut text, at| {
        match at % 7 {
            6 => writeln!(text, "{{broken {at}").unwrap(),
            _ => writeln!(
                text,
                r#"{{"ts":{},"v":{at},"s":"{}"}}"#,
                ts + u64::from(at) * 60_000,
                "x".repeat(40)
            )
            .unwrap(),
        }
        text
    })
}

const AT_EIGHT: u64 = 1_772_352_000_000;
const AT_NINE: u64 = AT_EIGHT + 3_600_000;

/// By event time, in parts of a few dozen messages.
fn by_event() -> Options {
    options(Contract { part_bytes: 4096, ..Contract::default() }, "event:ts".parse().unwrap())
}

/// By arrival, in parts as large or as small.
fn by_arrival(part_bytes: u64) -> Options {
    options(Contract { part_bytes, ..Contract::default() }, PartitionBy::Arrival)
}

fn replacing(options: &Options) -> Options {
    let mut options = options.clone();
    options.run.replace = true;
    options
}

fn as_zstd(options: &Options) -> Options {
    let mut options = options.clone();
    options.run.compression = Compression::Zstd;
    options
}

/// Three records of which the second and the third bring more keys than a part discovers, but for the table's columns.
fn crowded() -> String {
    let pad = " ".repeat(4096);
    let keys = |count: u32| (0..count).map(|at| format!(r#""k{at:05}":1"#)).collect::<Vec<_>>().join(",");
    let objects = (0..3).map(|object| {
        let fields: Vec<String> = (0..200).map(|at| format!(r#""c{at}":{at}"#)).collect();
        format!(r#""y{object}":{{{}}}"#, fields.join(","))
    });
    let objects: Vec<String> = objects.collect();
    format!(
        "{{\"ts\":{AT_EIGHT},\"o\":{{{}}},\"x\":1}}{pad}\n{{\"ts\":{AT_EIGHT},{}}}{pad}\n{{\"ts\":{AT_EIGHT},\"o\":{{{}}}}}{pad}\n",
        keys(9000),
        objects.join(","),
        keys(10_500)
    )
}

/// Another writer brings a column of its own, each time another.
fn another_column(storage: &Arc<MemoryStorage>, number: u32) {
    let lake = Lake::embedded(storage.clone());
    let identity = Identity::new(Path::dotted(&format!("other.c{number}")), Kind::Double);
    // Before there is a table nobody can bring anything.
    drop(lake.catalog.evolve("events", &mut |_| vec![identity.clone()]));
}

#[test]
fn a_source_whose_columns_depend_on_those_of_the_table_is_written_once_and_again() {
    let (storage, source, options) = (lake(), source(&crowded()), by_event());
    let lake = Lake::embedded(storage.clone());
    assert_eq!(run(&lake, &source, &options).counts.rows, 3);
    check_whole(&storage, "at once");
    let before = files(&storage);
    another_column(&storage, 0);
    assert_eq!(run(&lake, &source, &replacing(&options)).counts.rows, 3);
    check_whole(&storage, "replaced");
    assert!(before.keys().all(|key| !files(&storage).contains_key(key)));
}

#[test]
fn a_table_that_changes_between_any_two_effects_changes_nothing_of_a_source_that_spills() {
    // Smaller bounds, so that there are more parts, and the table's columns count for more.
    let mut options = by_event();
    options.run.limits.children = 100;
    options.run.limits.columns = 150;
    options.run.limits.discovered = 60;
    let text: String = (0..240)
        .map(|record| {
            let (a, b) = (record * 7 % 300, record * 13 % 90);
            let ts = AT_EIGHT + record * 60_000;
            format!("{{\"k{a:03}\":{record},\"o\":{{\"x_{b}\":{{\"y\":\"z\"}}}},\"ts\":{ts}}}\n")
        })
        .collect();
    let source = source(&text);
    let mut killed = 0;
    for after in 0.. {
        // A column comes, and the run goes on.
        let storage = lake();
        let other = storage.clone();
        let act = Box::new(move || another_column(&other, after));
        let writer = Writer::new(&storage, Some((after, Fate::Interrupted(act))));
        let summary = try_run(&writer.lake(), &source, &options).unwrap();
        assert!(summary.failed.is_empty(), "after {after} effects: {:?}", summary.failed);
        check_whole(&storage, &format!("a column after {after} effects"));
        let all = writer.effects();

        // The run is killed, a column comes, and another run completes it: with the very files that are there.
        let storage = lake();
        let writer = Writer::new(&storage, Some((after, Fate::Killed)));
        drop(try_run(&writer.lake(), &source, &options));
        if !writer.is_dead() {
            break;
        }
        killed += 1;
        let before = files(&storage);
        another_column(&storage, after);
        run(&Lake::embedded(storage.clone()), &source, &options);
        check_whole(&storage, &format!("killed after {after} effects"));
        let now = files(&storage);
        assert!(
            before.iter().all(|(key, bytes)| now.get(key) == Some(bytes)),
            "killed after {after} effects"
        );
        assert_eq!(receipt(&storage).revision, 0, "killed after {after} effects");
        assert!(after <= all);
    }
    assert!(killed > 20, "{killed}");
}

#[test]
fn what_a_killed_run_left_of_a_source_that_changed_goes() {
    let (old, new) = (source(&messages(130, AT_EIGHT)), source(&messages(90, AT_NINE)));
    for options in [by_event(), by_arrival(4096), by_arrival(1 << 20)] {
        for after in 0.. {
            let storage = lake();
            let writer = Writer::new(&storage, Some((after, Fate::Killed)));
            drop(try_run(&writer.lake(), &old, &options));
            if !writer.is_dead() {
                break;
            }
            let whole = Lake::embedded(storage.clone());
            let summary = try_run(&whole, &new, &options).unwrap();
            let why = format!("{} killed after {after}", options.run.partition_by);
            match &summary.failed[..] {
                [] => assert_eq!(receipt(&storage).counts.records, 90, "{why}"),
                // It was killed behind its receipt.
                [(_, PipelineError::Changed { .. })] => {
                    assert_eq!(receipt(&storage).counts.records, 130, "{why}")
                }
                failed => panic!("{why}: {failed:?}"),
            }
            check_whole(&storage, &why);
        }
    }
}

#[test]
fn what_a_killed_run_left_under_other_options_goes() {
    let source = source(&messages(130, AT_EIGHT));
    for options in [by_event(), by_arrival(4096), by_arrival(1 << 20)] {
        for after in 0.. {
            let storage = lake();
            let writer = Writer::new(&storage, Some((after, Fate::Killed)));
            drop(try_run(&writer.lake(), &source, &options));
            if !writer.is_dead() {
                break;
            }
            run(&Lake::embedded(storage.clone()), &source, &as_zstd(&options));
            check_whole(&storage, &format!("{} killed after {after}", options.run.partition_by));
        }
    }
}

#[test]
fn a_replacement_killed_at_any_effect_leaves_the_old_rows_or_the_new_and_is_completed() {
    let (old, new) = (source(&messages(130, AT_EIGHT)), source(&messages(90, AT_NINE)));
    for options in [by_event(), by_arrival(4096), by_arrival(1 << 20)] {
        for with_replace in [false, true] {
            for after in 0.. {
                let storage = lake();
                let whole = Lake::embedded(storage.clone());
                run(&whole, &old, &options);
                let writer = Writer::new(&storage, Some((after, Fate::Killed)));
                drop(try_run(&writer.lake(), &new, &replacing(&options)));
                let why = format!("{}, killed after {after}", options.run.partition_by);
                check_by_receipts(&storage, &why);
                if !writer.is_dead() {
                    check_whole(&storage, &why);
                    break;
                }
                let options = if with_replace { replacing(&options) } else { options.clone() };
                let before = receipt(&storage).revision;
                let summary = try_run(&whole, &new, &options).unwrap();
                let records = receipt(&storage).counts.records;
                // What was begun is gone on with; what stands already is what is replaced.
                assert!(!with_replace || receipt(&storage).revision == before + 1, "{why}");
                match &summary.failed[..] {
                    [] => assert_eq!(records, 90, "{why}"),
                    // Nothing had been begun yet.
                    [(_, PipelineError::Changed { .. })] if !with_replace => {
                        assert_eq!(records, 130, "{why}")
                    }
                    failed => panic!("{why}: {failed:?}"),
                }
                check_whole(&storage, &why);
            }
        }
    }
}

/// A writer stopped at each of its effects, while another does all of its own or dies at one of them; then the first goes
/// on, or dies; then everything is run again.
fn two_writers(begin: Option<Run<'_>>, first: Run<'_>, second: Run<'_>, again: Run<'_>, what: &str) {
    let mut cases = 0;
    for after in 0.. {
        let mut got_so_far = false;
        for (lives, dies_after) in
            [(true, None), (false, None), (true, Some(after * 5 % 11)), (false, Some(after * 7 % 13))]
        {
            let why =
                format!("{what}: stopped after {after}, lives {lives}, the other dies after {dies_after:?}");
            let storage = lake();
            if let Some(begin) = begin {
                assert!(begin.on(&Lake::embedded(storage.clone())).unwrap().failed.is_empty());
            }
            got_so_far = stopped_beside(&storage, first, after, lives, || {
                let other = Writer::new(&storage, dies_after.map(|after| (after, Fate::Killed)));
                drop(second.on(&other.lake()));
                check_by_receipts(&storage, &why);
            });
            check_by_receipts(&storage, &why);
            drop(again.on(&Lake::embedded(storage.clone())).unwrap());
            check_whole(&storage, &why);
            cases += 1;
        }
        if !got_so_far {
            break;
        }
    }
    println!("{what}: {cases} interleavings");
}

#[test]
fn two_replacements_of_one_source_end_in_one() {
    let (old, new) = (source(&messages(130, AT_EIGHT)), source(&messages(90, AT_NINE)));
    for options in [by_event(), by_arrival(1 << 20)] {
        let replace = replacing(&options);
        let (begin, again) =
            (Run { source: &old, options: &options }, Run { source: &new, options: &options });
        let run = Run { source: &new, options: &replace };
        two_writers(Some(begin), run, run, again, "the same twice");
        let zstd = as_zstd(&replace);
        two_writers(Some(begin), run, Run { source: &new, options: &zstd }, again, "under other options");
        let third = source(&messages(60, AT_NINE + 3_600_000));
        two_writers(Some(begin), run, Run { source: &third, options: &replace }, again, "of another version");
    }
}

#[test]
fn a_replacement_beside_a_plain_run_ends_in_one() {
    let (old, new) = (source(&messages(130, AT_EIGHT)), source(&messages(90, AT_NINE)));
    for options in [by_event(), by_arrival(1 << 20)] {
        let replace = replacing(&options);
        let plain = Run { source: &new, options: &options };
        let replacement = Run { source: &new, options: &replace };
        let begin = Some(Run { source: &old, options: &options });
        two_writers(begin, replacement, plain, plain, "a replacement, then a plain run");
        two_writers(begin, plain, replacement, plain, "a plain run, then a replacement");
        two_writers(
            None,
            plain,
            replacement,
            plain,
            "a plain run of what was never ingested, then a replacement",
        );
    }
}

#[test]
fn two_plain_runs_of_a_source_that_changed_between_them_end_in_one() {
    let (old, new) = (source(&messages(130, AT_EIGHT)), source(&messages(90, AT_NINE)));
    for options in [by_event(), by_arrival(4096), by_arrival(1 << 20)] {
        let (before, after) =
            (Run { source: &old, options: &options }, Run { source: &new, options: &options });
        two_writers(None, before, after, after, "the older is stopped");
        two_writers(None, after, before, after, "the newer is stopped");
        let zstd = as_zstd(&options);
        two_writers(None, after, Run { source: &new, options: &zstd }, after, "under other options");
        two_writers(None, after, after, after, "the same twice");
    }
}

#[test]
fn of_three_writers_the_last_to_begin_wins() {
    let sources: Vec<_> =
        (1..=3).map(|n| source(&messages(40 * n, AT_EIGHT + u64::from(n) * 3_600_000))).collect();
    let old = source(&messages(50, AT_EIGHT));
    for options in [by_event(), by_arrival(1 << 20)] {
        let replace = replacing(&options);
        let run = |at: usize| Run { source: &sources[at], options: &replace };
        for first in (0..27).step_by(4) {
            for second in (1..27).step_by(6) {
                for (one_lives, two_lives) in [(true, true), (true, false), (false, true)] {
                    let storage = lake();
                    let whole = Lake::embedded(storage.clone());
                    crate::support::run(&whole, &old, &options);
                    let why = format!("stopped after {first} ({one_lives}) and {second} ({two_lives})");
                    stopped_beside(&storage, run(0), first, one_lives, || {
                        stopped_beside(&storage, run(1), second, two_lives, || {
                            let summary = run(2).on(&whole).unwrap();
                            assert!(summary.failed.is_empty(), "{why}: {:?}", summary.failed);
                            check_by_receipts(&storage, &why);
                        });
                        check_by_receipts(&storage, &why);
                    });
                    check_by_receipts(&storage, &why);
                    drop(Run { source: &sources[2], options: &options }.on(&whole).unwrap());
                    check_whole(&storage, &why);
                }
            }
        }
    }
}

#[test]
fn what_a_receipt_names_that_is_not_of_its_source_is_left() {
    let options = by_arrival(1 << 20);
    let storage = lake();
    let whole = Lake::embedded(storage.clone());
    let both = MemoryStorage::new("raw");
    both.put(KEY, b"{\"ts\":1}\n").unwrap();
    both.put("2026/03/01/09/other", b"{\"ts\":2}\n").unwrap();
    run(&whole, &both, &options);
    let theirs = whole.ledger().head("events", "s3://raw/2026/03/01/09/other").unwrap().unwrap();
    let identity = format!("s3://raw/{KEY}");
    let mut ours = whole.ledger().head("events", &identity).unwrap().unwrap();
    let copy = ours.outputs[0].key.replace("-00000", "-00001");
    // A file of the other source, the catalog's document, and the other's bytes under a name of this source.
    storage.put(&copy, &storage.read(&theirs.outputs[0].key).unwrap().unwrap()).unwrap();
    let document = "_iotlake/catalog/tables/events.json";
    for key in [&theirs.outputs[0].key, document, &copy] {
        ours.outputs.push(iotlake::ledger::Output { key: key.to_owned(), ..theirs.outputs[0].clone() });
    }
    let bytes = serde_json::to_vec(&ours).unwrap();
    storage.put(&iotlake::ledger::Ledger::key("events", &identity), &bytes).unwrap();

    let one = source("{\"ts\":1}\n");
    let summary = try_run(&whole, &one, &replacing(&options)).unwrap();
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
    for key in [&theirs.outputs[0].key, document, &copy] {
        assert!(storage.head(key).unwrap().is_some(), "{key}");
        let told = summary.remarks.iter().filter(|remark| remark.message.contains(key));
        assert_eq!(told.count(), 1, "{key}: {:?}", summary.remarks);
    }
    assert!(storage.head(&ours.outputs[0].key).unwrap().is_none(), "its own file is gone");
    assert_eq!(whole.ledger().head("events", &identity).unwrap().unwrap().revision, 1);
}

#[test]
fn a_removal_that_an_older_version_had_begun_is_completed() {
    let options = by_event();
    let (old, new) = (source(&messages(130, AT_EIGHT)), source(&messages(90, AT_NINE)));
    for (removed, has_receipt, replace) in
        [(0, true, false), (0, false, false), (3, false, false), (3, false, true)]
    {
        let storage = lake();
        let whole = Lake::embedded(storage.clone());
        run(&whole, &old, &options);
        let receipt = receipt(&storage);
        let key = iotlake::ledger::Ledger::key("events", &receipt.source);
        let name = key.rsplit('/').next().unwrap();
        let copy = format!("_iotlake/replacing/events/{name}");
        storage.put(&copy, &storage.read(&key).unwrap().unwrap()).unwrap();
        if !has_receipt {
            storage.delete(&key).unwrap();
        }
        for output in &receipt.outputs[..removed] {
            storage.delete(&output.key).unwrap();
        }
        let options = if replace { replacing(&options) } else { options.clone() };
        let source = if has_receipt { &old } else { &new };
        run(&whole, source, &options);
        check_whole(&storage, "completed");
        assert!(storage.head(&copy).unwrap().is_none());
    }
}

#[test]
fn a_receipt_that_cannot_be_read_is_replaced_with_all_files_of_its_source() {
    let options = by_event();
    let storage = lake();
    let whole = Lake::embedded(storage.clone());
    let source = source(&messages(130, AT_EIGHT));
    run(&whole, &source, &options);
    run(&whole, &source, &replacing(&options));
    let key = iotlake::ledger::Ledger::key("events", &receipt(&storage).source);
    storage.put(&key, b"{\"format\": 1").unwrap();
    let failed = try_run(&whole, &source, &options).unwrap().failed;
    assert!(matches!(&failed[..], [(_, error)] if error.hint().unwrap().contains("--replace")), "{failed:?}");
    run(&whole, &source, &replacing(&options));
    assert_eq!(receipt(&storage).revision, 2);
    check_whole(&storage, "replaced");
}

#[test]
fn a_table_filed_by_arrival_keeps_how_keys_tell_their_hour() {
    let mut options = by_arrival(1 << 20);
    options.key_pattern = Some("{yyyy}/{MM}/{dd}/{HH}/".parse().unwrap());
    let whole = Lake::embedded(lake());
    run(&whole, &source("{\"ts\":1}\n"), &options);
    options.key_pattern = Some("{yyyy}-{MM}-{dd}-{HH}".parse().unwrap());
    let error = try_run(&whole, &source("{\"ts\":1}\n"), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `events`: key-pattern is {yyyy}/{MM}/{dd}/{HH}/, but {yyyy}-{MM}-{dd}-{HH} was asked for"
    );
    // One that was made before it was kept takes the first that is asked for.
    let whole = Lake::embedded(lake());
    run(&whole, &source("{\"ts\":1}\n"), &by_arrival(1 << 20));
    run(&whole, &source("{\"ts\":1}\n"), &options);
    assert_eq!(whole.catalog.table("events").unwrap().unwrap().key_pattern, options.key_pattern);
}

#[test]
fn a_change_of_the_same_size_is_noticed_whatever_the_times_of_the_lake_say() {
    let folder = tempfile::tempdir().unwrap();
    let raw = LocalStorage::create(folder.path().join("raw")).unwrap();
    let local =
        |name| LocalStorage::create(folder.path().join(name)).unwrap().with_durability(Durability::None);
    let options = by_arrival(1 << 20);
    let (lake, copy) = (Arc::new(local("lake")), Arc::new(local("copy")));
    let whole = Lake::embedded(lake.clone());
    raw.put(KEY, b"{\"ts\":1}\n").unwrap();
    run(&whole, &raw, &options);
    // The same content in another file is the same source.
    raw.put(KEY, b"{\"ts\":1}\n").unwrap();
    assert_eq!(run(&whole, &raw, &options).already_done, 1);

    raw.put(KEY, b"{\"ts\":2}\n").unwrap();
    for (key, bytes) in crate::support::contents(&*lake) {
        copy.put(&key, &bytes).unwrap();
        if key.starts_with("_iotlake/receipts/") {
            let ahead = SystemTime::now() + Duration::from_secs(1 << 30);
            std::fs::File::open(lake.root().join(key)).unwrap().set_modified(ahead).unwrap();
        }
    }
    for lake in [whole, Lake::embedded(copy)] {
        let failed = try_run(&lake, &raw, &options).unwrap().failed;
        assert!(matches!(&failed[..], [(_, PipelineError::Changed { .. })]), "{failed:?}");
        assert_eq!(run(&lake, &raw, &replacing(&options)).counts.rows, 1);
        assert_eq!(run(&lake, &raw, &options).already_done, 1);
    }
}

#[test]
fn whether_a_source_has_times_is_decided_by_its_first_part_before_anything_is_written() {
    let timed = |ts: u64| messages(300, ts);
    let untimed = timed(1_772_355_600_000).replace("\"ts\"", "\"at\"");
    let mut options = crate::support::small_parts();
    let rows = untimed.matches("\"at\"").count() as u64;

    options.run.allow_missing_time = false;
    let lake = crate::support::memory_lake();
    let summary = try_run(&lake, &source(&(untimed.clone() + &timed(1_772_355_600_000))), &options).unwrap();
    assert!(
        matches!(&*summary.failed, [(_, PipelineError::NoTime { is_all: false, zoneless: 0, .. })]),
        "{summary:?}"
    );
    // The table was there before; of the source there is nothing, not even the record of an attempt.
    let left = crate::support::contents(&*lake.storage);
    assert!(left.keys().all(|key| key.starts_with("_iotlake/catalog/")), "{:?}", left.keys());

    let counts = run(&lake, &source(&(timed(1_772_355_600_000) + &untimed)), &options).counts;
    assert_eq!((counts.rows, counts.untimed, counts.zoneless), (2 * rows, rows, 0));

    options.run.allow_missing_time = true;
    let lake = crate::support::memory_lake();
    let counts = run(&lake, &source(&(untimed + &timed(1_772_355_600_000))), &options).counts;
    assert_eq!((counts.rows, counts.untimed), (2 * rows, rows));
}

#[test]
fn a_source_without_times_that_was_begun_is_completed_without_being_allowed_again() {
    let untimed = |count| source(&messages(count, AT_EIGHT).replace("\"ts\"", "\"at\""));
    let (allowed, mut refused) = (by_event(), by_event());
    refused.run.allow_missing_time = false;
    let is_refused = |storage: &Arc<MemoryStorage>, source: &MemoryStorage| {
        let summary = try_run(&Lake::embedded(storage.clone()), source, &refused).unwrap();
        let is_refused = matches!(&*summary.failed, [(_, PipelineError::NoTime { .. })]);
        assert!(is_refused || summary.failed.is_empty(), "{:?}", summary.failed);
        is_refused
    };
    let (mut refusals, mut completed) = (0, 0);
    for after in 0.. {
        let storage = lake();
        let writer = Writer::new(&storage, Some((after, Fate::Killed)));
        drop(try_run(&writer.lake(), &untimed(130), &allowed));
        if !writer.is_dead() {
            break;
        }
        let is_begun = storage_has(&storage, "_iotlake/attempts/");
        let is_done = storage_has(&storage, "_iotlake/receipts/");
        // What was begun of it says nothing of what it has become.
        assert!(is_done || is_refused(&storage, &untimed(90)), "killed after {after} effects");
        assert_eq!(
            is_refused(&storage, &untimed(130)),
            !is_begun && !is_done,
            "killed after {after} effects"
        );
        if is_begun {
            check_whole(&storage, &format!("killed after {after} effects"));
            completed += 1;
        } else {
            refusals += 1;
        }
    }
    assert!(refusals > 0 && completed > 5, "{refusals} refused, {completed} completed");
}

fn storage_has(storage: &MemoryStorage, prefix: &str) -> bool {
    crate::support::contents(storage).keys().any(|key| key.starts_with(prefix))
}

#[test]
fn a_source_that_is_given_up_while_it_is_completed_is_done_or_begun_anew() {
    let source = source(&messages(130, AT_EIGHT));
    for options in [by_event(), by_arrival(4096), by_arrival(1 << 20)] {
        for after in 0.. {
            let mut got_so_far = false;
            for lives in [true, false] {
                let why = format!("{}: stopped after {after}, lives {lives}", options.run.partition_by);
                let storage = lake();
                let whole = Lake::embedded(storage.clone());
                run(&whole, &source, &options);
                // As a run leaves it that is killed just before its receipt.
                storage.delete(&Ledger::key("events", &receipt(&storage).source)).unwrap();
                let identity = format!("s3://raw/{KEY}");
                let left = files(&storage).into_iter().map(|(key, bytes)| Stale {
                    key,
                    table: "events".into(),
                    source: identity.clone(),
                    bytes: bytes.len() as u64,
                    revision: 0,
                    is_done: false,
                });
                let left: Vec<Stale> = left.collect();
                let completing = Run { source: &source, options: &options };
                got_so_far |= stopped_beside(&storage, completing, after, lives, || {
                    clean::remove(&whole, &left).unwrap();
                });
                check_by_receipts(&storage, &why);
                run(&whole, &source, &options);
                check_whole(&storage, &why);
                // What is done stays.
                clean::remove(&whole, &left).unwrap();
                check_whole(&storage, &why);
            }
            if !got_so_far {
                break;
            }
        }
    }
}

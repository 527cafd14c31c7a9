//! `iotlake watch`: the real binary over a folder to which files come, by the system's notifications and by polling alone.
//!
//! Nothing here waits for time to pass: each step waits for the line that says what the last one did.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use iotlake::audit::{Depth, audit};
use iotlake::lake::Lake;
use iotlake_fixtures::{Dirt, Kit};
use serde_json::Value;

use crate::support::{assert_same, contents, lineage};

const ROW: &str = "{\"ts\":1772355600000,\"v\":1}\n";

/// How a watch learns of files: what the system tells, or nothing but looks at the whole folder.
const WAYS: [&[&str]; 2] = [&["--settle", "20ms"], &["--settle", "20ms", "--poll", "--interval", "10ms"]];

/// A folder to which files come, and a lake beside it.
struct World {
    _folder: tempfile::TempDir,
    raw: PathBuf,
    lake: PathBuf,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (raw, lake) = (root.join("raw"), root.join("lake"));
        fs::create_dir(&raw).unwrap();
        World { _folder: folder, raw, lake }
    }

    fn command(&self, command: &str, options: &[&str]) -> Command {
        let mut iotlake = Command::new(env!("CARGO_BIN_EXE_iotlake"));
        iotlake.arg(command).arg(&self.raw).arg("--lake").arg(&self.lake);
        iotlake.args(["--partition-by", "event:ts"]).args(options).env_remove("IOTLAKE_LAKE");
        iotlake.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        iotlake
    }

    /// A watch that has begun.
    fn watch(&self, options: &[&str]) -> Watch {
        let mut command = self.command("watch", &["--json"]);
        let mut child = command.args(options).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let errors = BufReader::new(child.stderr.take().unwrap());
        let mut watch = Watch { child, lines, errors };
        watch.until("watching", |_| true);
        watch
    }

    /// Brings a file there that nobody sees half written, however busy the machine is, and that was not renamed.
    fn write(&self, key: &str, text: &str) {
        let spool = self.raw.with_file_name("spool");
        fs::create_dir_all(&spool).unwrap();
        let (written, path) = (spool.join(key.replace('/', "+")), self.raw.join(key));
        fs::write(&written, text).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(written, path).unwrap();
    }

    /// Brings a file there whole, in place of one that may be there.
    fn rename_in(&self, key: &str, text: &str) {
        let written = self.raw.with_file_name("written");
        fs::write(&written, text).unwrap();
        fs::rename(written, self.raw.join(key)).unwrap();
    }

    fn name(&self, key: &str) -> String {
        self.raw.join(key).to_str().unwrap().to_owned()
    }

    fn lake(&self) -> Lake {
        Lake::open_local(&self.lake).unwrap()
    }

    /// (`_source`, `_record`) of every row and reject, sorted; none stands twice, and the lake is whole.
    fn rows(&self) -> Vec<(String, i64)> {
        let lake = self.lake();
        let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
        assert!(audit.is_clean() && audit.orphans.is_empty(), "{:?} {:?}", audit.findings, audit.orphans);
        let files = contents(&*lake.storage).into_iter().filter(|(key, _)| key.ends_with(".parquet"));
        let mut rows: Vec<_> = files.flat_map(|(_, bytes)| lineage(&bytes)).collect();
        rows.sort();
        let all = rows.len();
        rows.dedup();
        assert_eq!(rows.len(), all, "a row stands twice");
        rows
    }
}

/// A watch that goes on; killed when the test fails.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
}

impl Watch {
    /// The next line of this event for which `is_meant`.
    #[track_caller]
    fn until(&mut self, event: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                let mut errors = String::new();
                self.errors.read_to_string(&mut errors).unwrap();
                panic!("it ended before `{event}`: {errors}");
            }
            let value: Value = serde_json::from_str(&line).unwrap();
            if value["event"] == event && is_meant(&value) {
                return value;
            }
        }
    }

    /// Waits until this source has ended so.
    #[track_caller]
    fn source(&mut self, name: &str, ended: &str) -> Value {
        let value = self.until("source", |value| value["source"] == name);
        assert_eq!(value["ended"], ended, "{value}");
        value
    }

    /// Waits for a line of standard error with this text.
    #[track_caller]
    fn error(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            assert_ne!(self.errors.read_line(&mut line).unwrap(), 0, "it ended before `{text}`");
            if line.contains(text) {
                return;
            }
        }
    }

    /// Ctrl-C; the totals.
    #[track_caller]
    fn stop(mut self) -> Value {
        let interrupted = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        let totals = self.until("totals", |_| true);
        assert_eq!(self.child.wait().unwrap().code(), Some(130));
        assert_eq!(totals["interrupted"], true);
        totals
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn once_it_writes_what_a_backfill_writes() {
    let dirt = Dirt::spread(0.1).unwrap();
    let kit = Kit { seed: 5, devices: 20, hours: 3, objects_per_hour: 4, dirt, ..Kit::sample() };
    let world = World::new();
    for object in kit.objects() {
        let path = world.raw.join(&object.key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &object.bytes).unwrap();
    }
    let backfilled = world.command("backfill", &["--quiet"]).status().unwrap();
    assert_eq!(backfilled.code(), Some(3));
    let expected = contents(&*world.lake().storage);
    for options in [["--jobs", "1"], ["--jobs", "2"]] {
        fs::remove_dir_all(&world.lake).unwrap();
        let mut watch = world.command("watch", &["--once", "--settle", "1ms", "--quiet"]);
        let code = watch.args(options).status().unwrap().code();
        assert_eq!(code, Some(3), "{options:?}");
        assert_same(&contents(&*world.lake().storage), &expected, &format!("{options:?}"));
        let mut again = world.command("watch", &["--once", "--json"]);
        let output = again.args(options).output().unwrap();
        let totals: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &totals["sources"]["already_done"]), (Some(0), &12.into()));
        assert_same(&contents(&*world.lake().storage), &expected, "again");
    }
}

#[test]
fn files_are_ingested_as_they_come() {
    for way in WAYS {
        let world = World::new();
        world.write("there", ROW);
        let mut watch = world.watch(way);
        let done = watch.source(&world.name("there"), "done");
        assert_eq!((&done["counts"]["rows"], &done["new_columns"][0]), (&1.into(), &"v".into()));
        world.write("written", &ROW.repeat(2));
        watch.source(&world.name("written"), "done");
        world.rename_in("renamed", &ROW.repeat(3));
        watch.source(&world.name("renamed"), "done");
        world.write("new/folder/deep", &format!("{ROW}nonsense\n"));
        let done = watch.source(&world.name("new/folder/deep"), "done");
        assert_eq!(done["rejects_by_reason"]["syntax"], 1);
        world.write("_hidden", ROW);
        fs::rename(world.raw.join("_hidden"), world.raw.join("shown")).unwrap();
        watch.source(&world.name("shown"), "done");
        let totals = watch.stop();
        assert_eq!(
            (&totals["sources"]["done"], &totals["counts"]["records"]),
            (&5.into(), &9.into()),
            "{way:?}"
        );
        assert_eq!(world.rows().len(), 9, "{way:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_is_renamed_into_place_is_taken_at_once_where_the_system_tells_of_it() {
    let world = World::new();
    let mut watch = world.watch(&["--settle", "24h"]);
    world.write("written", ROW);
    world.rename_in("renamed", ROW);
    watch.source(&world.name("renamed"), "done");
    // A log that is rotated may still be written.
    fs::rename(world.raw.join("written"), world.raw.join("rotated")).unwrap();
    world.rename_in("last", ROW);
    watch.source(&world.name("last"), "done");
    let totals = watch.stop();
    assert_eq!((&totals["sources"]["done"], &totals["waiting"]), (&2.into(), &1.into()), "{totals}");
}

#[test]
fn a_file_that_changes_after_it_was_taken_is_told_and_its_rows_stay() {
    for way in WAYS {
        let world = World::new();
        let mut watch = world.watch(way);
        world.write("a", ROW);
        watch.source(&world.name("a"), "done");
        world.rename_in("a", &ROW.repeat(2));
        let changed = watch.source(&world.name("a"), "changed");
        let hint = changed["hint"].as_str().unwrap();
        assert!(hint.contains(&format!("iotlake backfill {} ", world.name("a"))), "{hint}");
        assert!(hint.ends_with("--replace"), "{hint}");
        // Told once, however often it is looked at.
        world.write("b", ROW);
        watch.source(&world.name("b"), "done");
        let totals = watch.stop();
        assert_eq!((&totals["sources"]["failed"], &totals["sources"]["done"]), (&1.into(), &2.into()));
        assert_eq!(world.rows().len(), 2);
        // A watch that begins finds it changed as well, and what it advises mends it.
        let mut watch = world.watch(way);
        watch.source(&world.name("a"), "changed");
        watch.stop();
        let words: Vec<_> = hint.split("iotlake ").nth(1).unwrap().split(' ').collect();
        let advised = Command::new(env!("CARGO_BIN_EXE_iotlake")).args(words).output().unwrap();
        assert!(advised.status.success(), "{}", String::from_utf8_lossy(&advised.stderr));
        assert_eq!(world.rows().len(), 3);
    }
}

#[test]
fn a_file_that_gets_another_name_after_it_was_taken_is_not_ingested_twice() {
    for way in WAYS {
        let world = World::new();
        let mut watch = world.watch(way);
        world.write("a", ROW);
        watch.source(&world.name("a"), "done");
        fs::rename(world.raw.join("a"), world.raw.join("b")).unwrap();
        let renamed = watch.source(&world.name("b"), "renamed");
        assert_eq!(renamed["was"], world.name("a"));
        watch.stop();
        // While nobody watches.
        fs::rename(world.raw.join("b"), world.raw.join("c")).unwrap();
        let mut watch = world.watch(way);
        let renamed = watch.source(&world.name("c"), "renamed");
        assert_eq!(renamed["was"], world.name("a"));
        watch.stop();
        assert_eq!(world.rows(), [(world.name("a"), 1)], "{way:?}");
    }
}

#[test]
fn a_folder_that_goes_is_told_and_watched_again_when_it_is_back() {
    let world = World::new();
    let mut watch = world.watch(&["--settle", "20ms", "--interval", "20ms"]);
    world.write("a", ROW);
    watch.source(&world.name("a"), "done");
    let away = world.raw.with_extension("away");
    for (round, key) in ["b", "c"].into_iter().enumerate() {
        fs::rename(&world.raw, &away).unwrap();
        watch.error("the folder is gone");
        match round {
            0 => fs::rename(&away, &world.raw).unwrap(),
            // Another folder under the name.
            _ => fs::create_dir(&world.raw).unwrap(),
        }
        watch.until("returned", |_| true);
        world.write(key, ROW);
        watch.source(&world.name(key), "done");
    }
    watch.stop();
    assert_eq!(world.rows().len(), 3);
}

#[test]
fn what_cannot_be_read_does_not_stop_the_others_and_is_taken_once_it_can_be() {
    let world = World::new();
    let mut watch = world.watch(&["--settle", "20ms", "--poll", "--interval", "10ms"]);
    symlink(world.raw.with_file_name("later"), world.raw.join("link")).unwrap();
    let failed = watch.source(&world.name("link"), "failed");
    assert!(failed["message"].as_str().unwrap().contains("cannot read"), "{failed}");
    world.write("a", ROW);
    watch.source(&world.name("a"), "done");
    world.rename_in("../later", ROW);
    watch.source(world.raw.with_file_name("later").to_str().unwrap(), "done");
    watch.stop();
    assert_eq!(world.rows().len(), 2);
}

#[test]
fn a_folder_that_may_not_be_read_and_a_name_that_is_no_text_are_told_and_left() {
    let world = World::new();
    let root = world.raw.parent().unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o777)).unwrap();
    world.write("closed/a", ROW);
    world.write("open", ROW);
    fs::write(world.raw.join(std::ffi::OsStr::from_bytes(b"caf\xe9")), ROW).unwrap();
    fs::set_permissions(world.raw.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = world.command("watch", &["--once", "--settle", "1ms", "--json"]);
    // The superuser may read everything; it becomes nobody.
    if fs::metadata(root).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    fs::set_permissions(world.raw.join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let totals: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!((&totals["sources"]["failed"], &totals["sources"]["done"]), (&2.into(), &1.into()), "{text}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("not UTF-8") && errors.contains("permission denied"), "{errors}");
}

#[test]
fn killed_again_and_again_while_files_come_it_ingests_each_once() {
    let world = World::new();
    let expected: Vec<_> =
        (0..60).flat_map(|n| (1..=20).map(move |record| (n, record))).collect::<Vec<(u32, i64)>>();
    let write = |n: u32| {
        let rows: String =
            (0..20).map(|v| format!("{{\"ts\":1772355600000,\"v\":{v},\"c{n}\":{v}}}\n")).collect();
        match n % 2 {
            0 => world.write(&format!("{n:02}"), &rows),
            _ => world.rename_in(&format!("{n:02}"), &rows),
        }
    };
    for round in 0..20 {
        let mut watch = world.watch(WAYS[round % 2]);
        (0..3).for_each(|n| write(round as u32 * 3 + n));
        // In the midst of the others, which it may have begun.
        watch.until("source", |value| value["ended"] == "done");
        watch.child.kill().unwrap();
        watch.child.wait().unwrap();
    }
    let code = world.command("watch", &["--once", "--settle", "1ms", "--quiet"]).status().unwrap().code();
    assert_eq!(code, Some(0));
    let expected: Vec<_> =
        expected.into_iter().map(|(n, record)| (world.name(&format!("{n:02}")), record)).collect();
    assert_eq!(world.rows(), expected);
}

#[test]
fn two_watches_of_one_folder_ingest_each_file_once() {
    let world = World::new();
    let watches = WAYS.map(|way| world.watch(way));
    for n in 0..30 {
        world.write(&format!("{n:02}"), &ROW.repeat(5));
    }
    // Whoever comes second finds it done, and says nothing; a file that comes last is told by one of them.
    let code = world.command("watch", &["--once", "--settle", "1ms", "--quiet"]).status().unwrap().code();
    assert_eq!(code, Some(0));
    for watch in watches {
        watch.stop();
    }
    assert_eq!(world.rows().len(), 150);
}

#[test]
fn whoever_closes_the_output_ends_the_watch() {
    let world = World::new();
    let mut watch = world.watch(WAYS[0]);
    watch.lines = BufReader::new(spare_pipe());
    world.write("a", ROW);
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
    assert_eq!(world.rows().len(), 1);
}

/// The output of a process that has ended, to hold in place of another.
fn spare_pipe() -> ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stdout.take().unwrap()
}

/// What cannot be meant is told before anything is written.
#[test]
fn a_table_that_cannot_be_meant_is_not_made() {
    let world = World::new();
    world.write("a", "{\"at\":\"2026-03-01T09:00:00Z\"}\n");
    let run = |options: &[&str]| {
        let output = world.command("watch", &["--once", "--settle", "0"]).args(options).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = run(&[]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("the first record has no usable time at ts") && error.contains("event:at"),
        "{error}"
    );
    assert!(!Path::new(&world.lake).join("events").exists() && !world.lake.join("_iotlake").exists());
    let (code, error) = run(&["--allow-missing-time"]);
    assert_eq!(code, Some(0), "{error}");
}

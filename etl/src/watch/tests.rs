use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::backfill::{Options, backfill};
use crate::lake::Lake;
use crate::pipeline::Run;
use crate::plan::Plan;
use crate::storage::Durability;

const SETTLE: Duration = Duration::from_secs(3);

/// A folder, a lake, and a clock that the test moves on.
struct World {
    raw: tempfile::TempDir,
    _lake: tempfile::TempDir,
    lake: Lake,
    folder: Folder,
    now: Instant,
}

impl World {
    fn new() -> World {
        let raw = tempfile::tempdir().unwrap();
        let folder = watched(raw.path());
        let below = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(below.path()).unwrap().with_durability(Durability::None);
        World { raw, _lake: below, lake: Lake::embedded(Arc::new(storage)), folder, now: Instant::now() }
    }

    /// The same folder and lake after the watch was ended and begun again.
    fn again(&mut self) {
        self.folder = watched(self.raw.path());
    }

    fn path(&self, key: &str) -> std::path::PathBuf {
        self.raw.path().join(key)
    }

    fn write(&self, key: &str, text: &str) {
        fs::create_dir_all(self.path(key).parent().unwrap()).unwrap();
        fs::write(self.path(key), text).unwrap();
    }

    fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn list(&mut self) -> Listed {
        self.folder.list(self.now).unwrap()
    }

    fn settled(&mut self) -> Vec<Candidate> {
        self.folder.settled(self.now)
    }

    /// Keys of what has settled.
    fn keys(&mut self) -> Vec<String> {
        self.settled().into_iter().map(|candidate| candidate.source.key).collect()
    }

    /// Lists, and lists again when everything has settled; what has.
    fn wait(&mut self) -> Vec<Candidate> {
        self.list();
        self.after(3);
        self.list();
        self.settled()
    }

    /// Ingests what has settled.
    fn ingest(&mut self, candidates: &[Candidate]) {
        let sources = candidates.iter().map(|candidate| candidate.source.clone()).collect();
        let plan = Plan { sources, ..Plan::default() };
        let options = Options {
            run: Run { partition_by: "event:ts".parse().unwrap(), ..Run::new("events") },
            contract: Default::default(),
            key_pattern: None,
            view: None,
            jobs: 1,
        };
        let stop = AtomicBool::new(false);
        let summary = backfill(&self.lake, self.folder.storage(), &plan, &options, &stop, &()).unwrap();
        assert!(summary.failed.is_empty(), "{:?}", summary.failed);
        for source in &plan.sources {
            self.folder.ended(source, After::Taken, self.now);
        }
    }

    /// As after a start: what receipts know.
    fn skip(&mut self, reading: Reading) -> Done {
        self.list();
        self.folder.skip_done(&self.lake, "events", reading).unwrap()
    }
}

fn watched(raw: &Path) -> Folder {
    let storage = LocalStorage::open(raw).unwrap().with_durability(Durability::None);
    Folder::new(storage, None, KeyPattern::default(), SETTLE)
}

const ROW: &str = "{\"ts\":1772355600000,\"v\":1}\n";

fn keys(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| candidate.source.key.as_str()).collect()
}

#[test]
fn a_file_has_settled_when_it_was_the_same_for_the_time() {
    let mut world = World::new();
    world.write("a", ROW);
    world.write("_hidden/b", ROW);
    world.write(".c", ROW);
    world.list();
    assert_eq!((world.keys(), world.folder.waiting()), (vec![], 1));
    assert_eq!(world.folder.next(), Some(world.now + SETTLE));
    world.after(2);
    assert!(world.keys().is_empty());
    // Nobody saw that it was written; it is looked at once more before it is taken.
    world.write("a", &ROW.repeat(2));
    world.after(1);
    assert!(world.keys().is_empty());
    world.after(2);
    assert!(world.keys().is_empty());
    world.after(1);
    let settled = world.settled();
    assert_eq!((keys(&settled), settled[0].source.size), (vec!["a"], 2 * ROW.len() as u64));
    assert_eq!(settled[0].source.name, world.path("a").canonicalize().unwrap().to_str().unwrap());
    world.folder.ended(&settled[0].source, After::Taken, world.now);
    assert_eq!((world.folder.waiting(), world.folder.next()), (0, None));
    world.after(10);
    assert!(world.wait().is_empty());
}

#[test]
fn whatever_the_times_of_files_say_only_the_time_that_passes_counts() {
    let mut world = World::new();
    for (key, seconds) in [("past", 1), ("ahead", 1 << 33)] {
        world.write(key, ROW);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(world.path(key)).unwrap().set_modified(time).unwrap();
    }
    world.list();
    assert!(world.keys().is_empty(), "an old time is no proof that nobody writes");
    world.after(3);
    assert_eq!(world.keys(), ["ahead", "past"]);
}

#[test]
fn what_was_renamed_into_place_need_not_settle_and_what_is_seen_otherwise_does() {
    let mut world = World::new();
    for key in ["renamed", "made", "folder/in"] {
        world.write(key, ROW);
    }
    world.folder.look_at("renamed", true, world.now);
    world.folder.look_at("made", false, world.now);
    world.folder.look_at("folder", true, world.now);
    world.folder.look_at("nowhere", true, world.now);
    assert_eq!(world.keys(), ["folder/in", "renamed"]);
    // Seen before it was told that it had been renamed.
    world.folder.look_at("made", true, world.now);
    assert_eq!(world.keys(), ["folder/in", "made", "renamed"]);
    // Written afterwards.
    world.write("made", &ROW.repeat(2));
    world.folder.look_at("made", false, world.now);
    assert_eq!(world.keys(), ["folder/in", "renamed"]);
}

#[test]
fn a_file_that_changes_after_it_was_taken_comes_up_again() {
    let mut world = World::new();
    world.write("a", ROW);
    let settled = world.wait();
    world.ingest(&settled);
    world.write("a", &ROW.repeat(3));
    let settled = world.wait();
    assert_eq!(keys(&settled), ["a"]);
    let size = settled[0].source.size;
    world.folder.ended(&settled[0].source, After::Refused, world.now);
    assert_eq!((world.wait(), size), (vec![], 3 * ROW.len() as u64), "it is told once");
}

#[test]
fn what_fails_for_a_reason_that_may_pass_is_tried_again_after_ever_longer_times() {
    let mut world = World::new();
    world.write("a", ROW);
    let mut pauses = Vec::new();
    for round in 0..9 {
        let settled = if round == 0 { world.wait() } else { world.settled() };
        assert_eq!(settled.len(), 1);
        assert_eq!(settled[0].was_told, round > 0);
        world.folder.ended(&settled[0].source, After::Later, world.now);
        let next = world.folder.next().unwrap();
        pauses.push((next - world.now).as_secs());
        assert!(world.keys().is_empty());
        world.now = next;
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
    assert_eq!((world.folder.waiting(), world.folder.unsettled()), (1, 0));
    // Once it changes, it is another one.
    world.write("a", &ROW.repeat(2));
    let settled = world.wait();
    assert!(!settled[0].was_told);
}

#[test]
fn a_file_that_is_written_while_it_is_read_goes_on_to_settle() {
    let mut world = World::new();
    world.write("a", ROW);
    let settled = world.wait();
    world.folder.ended(&settled[0].source, After::Unsettled, world.now);
    assert!(world.keys().is_empty());
    world.after(3);
    assert_eq!(world.keys(), ["a"]);
}

#[test]
fn a_file_that_goes_is_forgotten_whether_it_was_taken_or_not() {
    let mut world = World::new();
    world.write("a", ROW);
    world.write("b", ROW);
    world.list();
    fs::remove_file(world.path("a")).unwrap();
    world.after(3);
    let settled = world.settled();
    assert_eq!(keys(&settled), ["b"]);
    world.ingest(&settled);
    fs::remove_file(world.path("b")).unwrap();
    world.list();
    let Folder { waiting, taken, names, .. } = &world.folder;
    assert!(waiting.is_empty() && taken.is_empty() && names.is_empty());
}

#[test]
fn a_folder_that_goes_and_returns_is_known_again() {
    let mut world = World::new();
    world.write("a", ROW);
    let settled = world.wait();
    world.ingest(&settled);
    let away = world.raw.path().with_extension("away");
    fs::rename(world.raw.path(), &away).unwrap();
    assert_eq!(world.list(), Listed::Gone);
    fs::rename(&away, world.raw.path()).unwrap();
    assert!(world.wait().is_empty());
}

#[test]
fn what_cannot_be_listed_is_told_once_and_again_when_it_is_back() {
    let mut world = World::new();
    let odd = world.path("").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    let told = |listed: Listed| match listed {
        Listed::All(unlisted) => unlisted.len(),
        Listed::Gone => panic!("it is there"),
    };
    for _ in 0..2 {
        fs::write(&odd, ROW).unwrap();
        assert_eq!(told(world.list()), 1);
        assert_eq!(told(world.list()), 0);
        assert_eq!(world.folder.unlisted().count(), 1);
        fs::remove_file(&odd).unwrap();
        assert_eq!(told(world.list()), 0);
        assert_eq!(world.folder.unlisted().count(), 0);
    }
}

#[test]
fn links_are_followed_and_their_files_taken_once() {
    let mut world = World::new();
    world.write("d/a", ROW);
    symlink("a", world.path("d/link")).unwrap();
    symlink("..", world.path("d/up")).unwrap();
    symlink("nowhere", world.path("broken")).unwrap();
    let settled = world.wait();
    assert_eq!(keys(&settled), ["broken", "d/a"]);
    let broken = StorageError::NotFound { uri: "broken".into() };
    let failed = |error| Err(PipelineError::Source { source_name: "x".into(), source: error });
    assert_eq!(
        world.folder.after(&settled[0].source, &failed(broken)),
        After::Refused,
        "it is there, and told"
    );
    fs::remove_file(world.path("d/link")).unwrap();
    fs::remove_file(world.path("d/a")).unwrap();
    let gone = StorageError::NotFound { uri: "a".into() };
    assert_eq!(world.folder.after(&settled[1].source, &failed(gone)), After::Gone);
}

#[test]
fn what_receipts_know_is_not_asked_for_again() {
    for reading in [Reading::Contents, Reading::Times] {
        let mut world = World::new();
        world.write("same", ROW);
        world.write("changed", ROW);
        // Longer ago than any clock is coarse: what was written since the receipt shows.
        for key in ["same", "changed"] {
            wait_for_clock(&world.path(key));
        }
        let settled = world.wait();
        world.ingest(&settled);
        world.write("new", ROW);
        world.write("changed", &ROW.repeat(2));
        wait_for_clock(&world.path("changed"));
        world.again();
        assert_eq!(world.skip(reading), Done { unchanged: 1, in_doubt: 1 }, "{reading:?}");
        world.after(3);
        assert_eq!(world.keys(), ["changed", "new"], "{reading:?}");
    }
}

/// Waits until the clock of files is so far on that a change to `path` is known to have been before now. That clock may be
/// some ticks behind ours.
fn wait_for_clock(path: &Path) {
    let folder = LocalStorage::open(path.parent().unwrap()).unwrap();
    let meta = folder.head(path.file_name().unwrap().to_str().unwrap()).unwrap().unwrap();
    let ticks = Duration::from_millis(50);
    while !crate::pipeline::is_older(meta.modified, SystemTime::now().checked_sub(ticks)) {
        std::thread::yield_now();
    }
}

#[test]
fn a_source_that_was_given_up_is_not_taken_for_done() {
    for reading in [Reading::Contents, Reading::Times] {
        let mut world = World::new();
        world.write("a", ROW);
        wait_for_clock(&world.path("a"));
        let settled = world.wait();
        world.ingest(&settled);
        let name = settled[0].source.name.clone();
        let leaving =
            crate::remove::find(&world.lake, "events", crate::remove::Which::Source(&name)).unwrap();
        crate::remove::remove(&world.lake, &leaving).unwrap();
        world.again();
        assert_eq!(world.skip(reading).unchanged, 0, "{reading:?}");
        world.after(3);
        assert_eq!(world.keys(), ["a"], "{reading:?}");
    }
}

/// The source that each of `candidates` was.
fn were(world: &World, candidates: &[Candidate]) -> Vec<Option<String>> {
    let ledger = world.lake.ledger();
    candidates.iter().map(|candidate| world.folder.renamed(&ledger, "events", candidate).unwrap()).collect()
}

#[test]
fn a_file_that_gets_another_name_after_it_was_taken_is_known_by_receipt_and_digest() {
    let mut world = World::new();
    world.write("a", ROW);
    let settled = world.wait();
    let name = settled[0].source.name.clone();
    world.ingest(&settled);
    fs::rename(world.path("a"), world.path("b")).unwrap();
    let settled = world.wait();
    assert_eq!((keys(&settled), were(&world, &settled)), (vec!["b"], vec![Some(name.clone())]));
    world.folder.ended(&settled[0].source, After::Renamed, world.now);
    // Again, told by the system this time, and while nobody watched.
    fs::rename(world.path("b"), world.path("c")).unwrap();
    world.folder.look_at("c", true, world.now);
    let settled = world.settled();
    assert_eq!((keys(&settled), were(&world, &settled)), (vec!["c"], vec![Some(name.clone())]));
    fs::rename(world.path("c"), world.path("d")).unwrap();
    world.again();
    assert_eq!(world.skip(Reading::Contents), Done::default());
    world.after(3);
    let settled = world.settled();
    assert_eq!((keys(&settled), were(&world, &settled)), (vec!["d"], vec![Some(name)]));
    // What only looks so is another source.
    world.write("e", &ROW.replace(":1}", ":2}"));
    let was = settled[0].was.clone();
    let source = SourceObject { key: "e".into(), ..settled[0].source.clone() };
    assert_eq!(were(&world, &[Candidate { source, was, was_told: false }]), [None]);
}

#[test]
fn a_copy_is_a_source_of_its_own() {
    let mut world = World::new();
    world.write("a", ROW);
    let settled = world.wait();
    world.ingest(&settled);
    fs::copy(world.path("a"), world.path("b")).unwrap();
    let settled = world.wait();
    assert_eq!((keys(&settled), were(&world, &settled)), (vec!["b"], vec![None]));
}

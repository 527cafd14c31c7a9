//! From a seed to a schedule and its verdict.
//!
//! A seed decides how the table is partitioned and cut, where its catalog is, what goes wrong how often, and what actors
//! do in two eras with two days between them: in the second some find what others left in the first. Then everything that
//! is under way comes to its effect, nothing goes wrong any more, and everything is run once more: each source has to be
//! done once, with the bytes of a run that nobody disturbed, and nothing else be left.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use iotlake::audit::{Depth, audit};
use iotlake::backfill::{Options, ensure_table};
use iotlake::catalog::{Catalog, MemoryCatalog, Side, Table};
use iotlake::digest::{Digest, source_hash};
use iotlake::error::Error;
use iotlake::lake::Lake;
use iotlake::partition::{Partition, PartitionBy};
use iotlake::pipeline::{PipelineError, Run};
use iotlake::place::Place;
use iotlake::rebuild;
use iotlake::source::KeyPattern;
use iotlake::storage::{MemoryStorage, Storage};
use iotlake_fixtures::SplitMix64;
use iotlake_flatten::{Compression, Contract};

use crate::accounts::{Accounts, Standing};
use crate::actors::{self, Actor, Job, backfill_all, sources_in, wrong};
use crate::faults::Fault;
use crate::sources::{self, SOURCES, VERSIONS};
use crate::storage::{Of, Seen};
use crate::world::{Chances, Counts, Odds, Process, Style, World};

/// What a seed decides.
pub struct Scenario {
    options: Options,
    is_embedded: bool,
    has_table: bool,
    sources: Vec<usize>,
    eras: [Vec<Vec<Job>>; 2],
    chances: Chances,
    /// How long superseded files stay.
    grace: Duration,
}

/// What became of a schedule.
#[derive(Debug)]
pub struct Verdict {
    pub broken: Option<String>,
    pub fingerprint: u64,
    pub lines: Vec<String>,
    pub steps: u64,
    pub counts: Counts,
}

fn one_of<T: Clone>(random: &mut SplitMix64, choices: &[T]) -> T {
    choices[random.below(choices.len() as u32) as usize].clone()
}

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        let random = &mut SplitMix64::stream(seed, 0);
        let partition_by =
            one_of(random, &["arrival", "event:ts", "event:ts"]).parse().expect("a way to partition");
        let part_bytes = one_of(random, &[1 << 20, 150, 300]);
        let contract = Contract { part_bytes, ..Contract::default() };
        let run = Run { partition_by, allow_missing_time: true, ..Run::new("events") };
        let options = Options { run, contract, key_pattern: None, view: None, jobs: 1 };
        let first = random.below(SOURCES as u32) as usize;
        let sources: Vec<usize> =
            (0..one_of(random, &[1, 1, 2, 3])).map(|offset| (first + offset) % SOURCES).collect();
        let odds = Odds {
            killed: one_of(random, &[0, 10, 30]),
            lost: one_of(random, &[0, 5, 25]),
            late: one_of(random, &[0, 5, 25]),
            throttled: one_of(random, &[0, 10, 25]),
            slow: one_of(random, &[0, 10, 50]),
        };
        let style = match random.below(3) {
            0 => Style::Random(64),
            1 => Style::Random(one_of(random, &[2, 4, 12])),
            _ => Style::Ranked((0..1 + random.below(5)).map(|_| u64::from(random.below(400))).collect()),
        };
        let themes = [Theme::Anything, Theme::Sweep, Theme::Replace, Theme::Compact, Theme::Compact];
        let theme = one_of(random, &themes);
        let mut first_era: Vec<Vec<Job>> =
            (0..1 + random.below(2)).map(|_| early_jobs(random, &sources)).collect();
        if theme == Theme::Compact {
            first_era.push(vec![Job::Compact { compression: Compression::default() }]);
        }
        let second_era = (0..2 + random.below(4)).map(|_| jobs(random, &sources, theme)).collect();
        let is_embedded = random.below(3) > 0;
        // Only readers of manifests see at once what is read now.
        let grace = if is_embedded { one_of(random, &[Duration::ZERO, actors::DAY]) } else { actors::DAY };
        Scenario {
            options,
            is_embedded,
            grace,
            has_table: random.below(4) > 0,
            sources,
            eras: [first_era, second_era],
            chances: Chances { seed, odds, style, page: one_of(random, &[1, 2, 5, 1000]) },
        }
    }

    /// Runs it; with a trace if it is wanted.
    pub fn run(self, fault: Option<Fault>, is_traced: bool) -> Verdict {
        let is_embedded = (self.is_embedded || fault.is_some()) && fault != Some(Fault::LocationFirst);
        let catalog = (!is_embedded).then(|| Arc::new(MemoryCatalog::new()));
        let by_event = self.options.run.partition_by != PartitionBy::Arrival;
        let mut accounts = Accounts::new(by_event);
        accounts.generations.grace = self.grace;
        let mut jobs = self.eras.iter().flatten().flatten();
        accounts.may_remove = jobs.any(|job| matches!(job, Job::Remove { .. }));
        let world = Arc::new(World::new(self.chances.clone(), catalog, accounts, fault, is_traced));
        for source in &self.sources {
            world
                .raw
                .put(sources::KEYS[*source], &sources::bytes(*source, 0))
                .expect("memory can be written");
        }
        if let Err(why) = self.play(&world) {
            world.lock().breaks(why);
        }
        let (fingerprint, lines) = world.trace();
        let mut state = world.lock();
        Verdict {
            broken: state.broken.take(),
            fingerprint,
            lines,
            steps: state.step,
            counts: std::mem::take(&mut state.counts),
        }
    }

    fn play(&self, world: &Arc<World>) -> Result<(), String> {
        if self.has_table {
            self.make_table(world)?;
        }
        for era in &self.eras {
            let actors = era.iter().enumerate().map(|(number, jobs)| {
                let actor =
                    Actor { number, jobs: jobs.clone(), options: self.options.clone(), grace: self.grace };
                let run: Box<dyn FnOnce() + Send> = Box::new(move || actor.run(world));
                run
            });
            world.run(actors.collect());
            if world.lock().broken.is_some() {
                return Ok(());
            }
            world.rest(2 * 24 * 60 * 60);
        }
        world.calm();
        let ended = Mutex::new(Ok(()));
        world.run(vec![Box::new(|| *ended.lock().unwrap() = self.end(world))]);
        ended.into_inner().unwrap()
    }

    /// As `init` does before the first delivery.
    fn make_table(&self, world: &Arc<World>) -> Result<(), String> {
        let made = ensure_table(&inside(world), &self.options).map_err(|error| error.to_string())?;
        // Of one that lies in the lake the document is read.
        if world.catalog.is_none() { Ok(()) } else { world.lock().accounts.table(&made) }
    }

    /// Everything is run once more, and then is as it should be.
    fn end(&self, world: &Arc<World>) -> Result<(), String> {
        let said =
            |error: Error| format!("the last run: {}", wrong(&error).unwrap_or_else(|| error.to_string()));
        let process = Process::new(world, 0, true);
        let (lake, from) = (actors::lake(&process), Seen::new(&process, Of::Raw));
        let plan = sources_in(&*from).map_err(said)?;
        let summary = backfill_all(&lake, &*from, &plan, &self.options).map_err(said)?;
        let mut changed = plan.clone();
        changed.sources.retain(|source| summary.failed.iter().any(|(name, _)| *name == source.name));
        if let Some((_, error)) =
            summary.failed.into_iter().find(|(_, error)| !matches!(error, PipelineError::Changed { .. }))
        {
            return Err(said(error.into()));
        }
        if !changed.sources.is_empty() {
            let mut options = self.options.clone();
            options.run.replace = true;
            let summary = backfill_all(&lake, &*from, &changed, &options).map_err(said)?;
            if let Some((_, error)) = summary.failed.into_iter().next() {
                return Err(said(error.into()));
            }
        }
        if let Some(unrenewed) = summary.unrenewed.into_iter().next() {
            return Err(said(unrenewed.error.into()));
        }
        let is_begun = !world.lock().accounts.generations.partitions.is_empty();
        if is_begun {
            // What is ripe by then goes.
            world.rest(2 * 24 * 60 * 60);
            for _ in 0..2 {
                actors::compact(&process, self.grace, Compression::default()).map_err(said)?;
                world.rest(2 * 24 * 60 * 60);
            }
        }
        let before = contents(&world.lake);
        let again = backfill_all(&lake, &*from, &plan, &self.options).map_err(said)?;
        if again.already_done != plan.sources.len() as u64 || contents(&world.lake) != before {
            return Err(format!("a run when all was done changed something: {again:?}"));
        }
        actors::read(&process).map_err(said)?;
        if world.lock().broken.is_some() {
            return Ok(());
        }
        self.check_end(world, &before)?;
        self.check_rebuilt(world, &before)
    }

    /// The lake is that of a run that nobody disturbed.
    fn check_end(&self, world: &Arc<World>, contents: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let lake = inside(world);
        let table =
            lake.catalog.table("events").map_err(|error| error.to_string())?.ok_or("the table is gone")?;
        let receipts = world.lock().accounts.receipts.clone();
        let (mut named, mut shown) = (Vec::new(), Vec::new());
        let mut contained = BTreeMap::new();
        for newest in world.lock().accounts.generations.newest() {
            shown.extend(newest.outputs.keys().cloned());
            contained.extend(newest.contains.clone());
        }
        for source in &self.sources {
            let bytes =
                world.raw.read(sources::KEYS[*source]).expect("memory can be read").unwrap_or_default();
            let standing = receipts.get(&source_hash(&sources::name(*source))).and_then(|all| all.last());
            let standing = standing.ok_or_else(|| format!("at the end source {source} has no receipt"))?;
            if standing.digest != Digest::of(&bytes) {
                return Err(format!("at the end the receipt of source {source} is of another version"));
            }
            let expected = self.undisturbed(&table, *source, &bytes, &standing.compression)?;
            let found = outputs(standing, contents, &contained)?;
            if found != expected {
                return Err(format!(
                    "source {source} has the files {found:?}; undisturbed it has {expected:?}"
                ));
            }
            named.extend(standing.named.rows.iter().chain(&standing.named.rejects).cloned());
        }
        if let Some(stale) = contained.keys().find(|key| !named.contains(*key)) {
            return Err(format!(
                "a generation shows the rows of {stale} at the end, and no receipt names it"
            ));
        }
        let is_read = |key: &&String| match contained.contains_key(*key) {
            true => false,
            false => named.contains(key) || shown.contains(key),
        };
        let is_left = |key: &&String| {
            key.starts_with("_iotlake/attempts/") || (key.ends_with(".parquet") && !is_read(key))
        };
        if let Some(left) = contents.keys().find(is_left) {
            return Err(format!("{left} is left at the end, and nobody reads it"));
        }
        check_audit(&lake)
    }

    /// What the catalog knew can be made again from files and receipts.
    fn check_rebuilt(&self, world: &Arc<World>, contents: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        if !self.chances.seed.is_multiple_of(4) {
            return Ok(());
        }
        let storage = Arc::new(MemoryStorage::new("lake"));
        for (key, bytes) in contents.iter().filter(|(key, _)| !key.starts_with("_iotlake/catalog/")) {
            storage.put(key, bytes).expect("memory can be written");
        }
        let (lake, lost) = (Lake::embedded(storage), inside(world));
        let said = |error: iotlake::rebuild::RebuildError| format!("the catalog made again: {error}");
        let rebuilt = rebuild::read(&lake.storage, "events", &self.options.contract, &KeyPattern::default());
        rebuild::write(&*lake.catalog, &rebuilt.map_err(said)?).map_err(said)?;
        check_audit(&lake).map_err(|why| format!("the catalog made again: {why}"))?;
        for side in Side::BOTH {
            let partitions = |lake: &Lake| {
                let found = lake.catalog.partitions(&iotlake::catalog::TableName::new("events", side));
                found.map_err(|error| error.to_string())
            };
            let (found, lost) = (partitions(&lake)?, partitions(&lost)?);
            if !found.iter().all(|partition| lost.contains(partition)) {
                return Err(format!("the catalog made again has the partitions {found:?}, and had {lost:?}"));
            }
        }
        Ok(())
    }

    /// The files of a source that is ingested alone, into an empty lake of this table.
    fn undisturbed(
        &self,
        table: &Table,
        source: usize,
        bytes: &[u8],
        compression: &str,
    ) -> Result<Outputs, String> {
        static KNOWN: LazyLock<Mutex<HashMap<String, Outputs>>> = LazyLock::new(Mutex::default);
        let columns: Vec<&str> = table.schema.columns().iter().map(|column| column.name.as_str()).collect();
        let digest = Digest::of(bytes);
        let key = format!(
            "{columns:?} {} {} {digest} {compression}",
            self.options.run.partition_by, self.options.contract.part_bytes
        );
        if let Some(known) = KNOWN.lock().unwrap().get(&key) {
            return Ok(known.clone());
        }
        let raw = MemoryStorage::new("raw");
        raw.put(sources::KEYS[source], bytes).expect("memory can be written");
        let (storage, catalog) = (Arc::new(MemoryStorage::new("lake")), Arc::new(MemoryCatalog::new()));
        catalog.create_table(table).map_err(|error| error.to_string())?;
        let mut options = self.options.clone();
        options.run.compression =
            if compression == Compression::Zstd.word() { Compression::Zstd } else { Compression::default() };
        let plan = sources_in(&raw).map_err(|error| error.to_string())?;
        let lake = Lake::new(storage.clone(), catalog);
        let summary = backfill_all(&lake, &raw, &plan, &options).map_err(|error| error.to_string())?;
        assert!(summary.failed.is_empty(), "{summary:?}");
        let files = contents(&storage).into_iter().filter(|(key, _)| key.ends_with(".parquet"));
        let files: Option<Outputs> =
            files.map(|(key, bytes)| Some((place(&key)?, Digest::of(&bytes)))).collect();
        let files = files.ok_or("a file that is no output")?;
        KNOWN.lock().unwrap().insert(key, files.clone());
        Ok(files)
    }
}

/// The digest of each file of a source, by its side, partition and part.
type Outputs = BTreeMap<(Side, Partition, u32), String>;

fn place(key: &str) -> Option<(Side, Partition, u32)> {
    Place::parse("events", key).map(|place| (place.side, place.partition, place.name.part))
}

fn outputs(
    standing: &Standing,
    contents: &BTreeMap<String, Vec<u8>>,
    contained: &BTreeMap<String, String>,
) -> Result<Outputs, String> {
    let keys = standing.named.rows.iter().chain(&standing.named.rejects);
    let digest = |key| contained.get(key).cloned().or_else(|| Some(Digest::of(contents.get(key)?)));
    let found = keys.map(|key| Some((place(key)?, digest(key)?)));
    found.collect::<Option<_>>().ok_or_else(|| "at the end a file is missing".to_owned())
}

/// The lake as it is, for those who look while nobody acts.
fn inside(world: &World) -> Lake {
    match &world.catalog {
        Some(catalog) => Lake::new(world.lake.clone(), catalog.clone()),
        None => Lake::embedded(world.lake.clone()),
    }
}

fn check_audit(lake: &Lake) -> Result<(), String> {
    let audit = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).map_err(|error| error.to_string())?;
    match audit.findings.iter().find(|_| !audit.is_clean()) {
        Some(finding) => Err(format!("the audit at the end: {finding}")),
        None => Ok(()),
    }
}

/// Every object of a storage.
fn contents(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    let mut keys = Vec::new();
    let listed = storage.list("", &mut |meta| {
        keys.push(meta.key);
        Ok(())
    });
    listed.expect("memory can be listed");
    keys.into_iter().map(|key| (key.clone(), storage.read(&key).ok().flatten().unwrap_or_default())).collect()
}

/// What most of the actors of an era are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    Anything,
    /// Sources that are completed, and given up, at a time.
    Sweep,
    /// Sources that are replaced, and read.
    Replace,
    /// The same, and removed, while the lake is compacted.
    Compact,
}

/// What an actor of the first era does, of whom the second finds what was left.
fn early_jobs(random: &mut SplitMix64, sources: &[usize]) -> Vec<Job> {
    let compression = compression(random);
    match random.below(3) {
        0 => vec![Job::Backfill { replace: false, compression }],
        1 => vec![Job::Backfill { replace: false, compression }, change(random, sources)],
        _ => deliveries(random, sources, compression),
    }
}

/// What an actor of the second era does.
fn jobs(random: &mut SplitMix64, sources: &[usize], theme: Theme) -> Vec<Job> {
    let compression = compression(random);
    let kinds: &[u32] = match theme {
        Theme::Anything => &[0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 6, 7],
        Theme::Sweep => &[0, 0, 0, 1, 4, 4, 5, 6],
        Theme::Replace => &[0, 1, 2, 2, 3, 6, 6],
        Theme::Compact => &[0, 1, 2, 2, 3, 4, 6, 6, 7, 8, 8, 8, 8, 9],
    };
    match one_of(random, kinds) {
        0 => deliveries(random, sources, compression),
        1 => vec![Job::Backfill { replace: false, compression }],
        2 => vec![change(random, sources), Job::Backfill { replace: true, compression }],
        3 => vec![Job::Backfill { replace: true, compression }],
        4 => vec![Job::Clean { unfinished: true }],
        5 => vec![Job::Clean { unfinished: false }, Job::Clean { unfinished: true }],
        6 => vec![Job::Read, Job::Read],
        8 => vec![Job::Compact { compression }, Job::Compact { compression }],
        9 => vec![Job::Remove { source: one_of(random, sources) }],
        _ => vec![one_of(random, &[Job::Rebuild, Job::Audit])],
    }
}

fn compression(random: &mut SplitMix64) -> Compression {
    if random.below(8) == 0 { Compression::Zstd } else { Compression::default() }
}

fn deliveries(random: &mut SplitMix64, sources: &[usize], compression: Compression) -> Vec<Job> {
    let count = 1 + random.below(2 * sources.len() as u32);
    (0..count).map(|_| Job::Deliver { source: one_of(random, sources), compression }).collect()
}

fn change(random: &mut SplitMix64, sources: &[usize]) -> Job {
    Job::Change { source: one_of(random, sources), version: random.below(VERSIONS as u32) as usize }
}

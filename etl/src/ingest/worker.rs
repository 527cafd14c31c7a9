//! One object at a time, as the function does it: what stays warm between invocations, and what becomes of each object.
//!
//! In comes an object that was announced; out comes how it ended. The lake with what its catalog has
//! seen of partitions, the table as last seen and a client for each bucket stay from one invocation to the next, so that an object that brings
//! nothing new needs no call to the catalog.
//!
//! What must stay true: an object ends in exactly one way, and whatever is not done, not gone and not foreign by its
//! name is a failure of its message; the function never makes a table while it ingests, for one that was deleted would
//! come back with other columns than its files have: that is `init`'s to decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iotlake_flatten::Path;

use super::budget::{Budget, Verdict};
use super::event::Announced;
use super::settings::Settings;
use super::telemetry::{Ended, Stopwatch, chain};
use crate::aws::Aws;
use crate::catalog::CatalogError;
use crate::error::Hint;
use crate::lake::Lake;
use crate::location::{LazyAws, Location, OpenError, S3Location};
use crate::partition::PartitionBy;
use crate::pipeline::{Ingested, Pipeline, PipelineError, Run, Shared, Status};
use crate::source::{KeyPattern, SourceObject};
use crate::storage::{S3Storage, Storage, StorageError};
use crate::turns::Turns;

/// Where IoT rules put the time at which a message arrived.
const ARRIVAL: &str = "ts";

/// An arrival longer ago than this says nothing of how fresh the lake is: a device that kept its messages, or an old
/// object that was announced again.
const STALE: f64 = 7.0 * 24.0 * 3600.0;

/// What stays warm.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
    aws: Aws,
    lake: Lake,
    budget: Budget,
    /// The table, once it was asked for; forgotten when the catalog says that it is gone.
    opened: Mutex<Option<Arc<Opened>>>,
    sources: Mutex<HashMap<String, Arc<dyn Storage>>>,
}

/// The table and how sources are processed for it.
#[derive(Debug)]
struct Opened {
    run: Run,
    key_pattern: KeyPattern,
    shared: Shared,
}

/// How an object ended.
#[derive(Debug)]
pub struct Finished {
    /// Its URI.
    pub source: String,
    /// In which way.
    pub ended: Ended,
    /// Its accounts, if it was ingested.
    pub outcome: Option<Ingested>,
    /// Where its time went, if it was begun.
    pub watch: Option<Arc<Stopwatch>>,
    /// Seconds from the arrival of its newest record until it can be queried.
    pub freshness: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What an operator can do about it.
    pub hint: Option<String>,
}

impl Finished {
    /// One that was not begun.
    pub fn unbegun(source: String, ended: Ended) -> Finished {
        Finished { source, ended, outcome: None, watch: None, freshness: None, error: None, hint: None }
    }
}

impl Worker {
    /// A worker as configured. Asks nobody for anything yet.
    ///
    /// # Errors
    /// If the lake cannot be opened.
    pub fn new(settings: Settings, aws: Aws) -> Result<Worker, OpenError> {
        let aws = LazyAws::from(aws);
        let lake = Lake::open(&Location::S3(settings.lake.clone()), &settings.catalog, &aws)?;
        let aws = aws.get()?.clone();
        let budget = Budget::new(settings.memory_mib);
        let (opened, sources) = (Mutex::default(), Mutex::default());
        Ok(Worker { settings, aws, lake, budget, opened, sources })
    }

    /// The lake, with leave to make what it needs.
    pub(super) fn lake_to_make(&self) -> Result<Lake, OpenError> {
        let Settings { lake, catalog, create_database, .. } = &self.settings;
        Lake::create(&Location::S3(lake.clone()), catalog, *create_database, &LazyAws::from(self.aws.clone()))
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Memory and speed.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The bucket that an object lies in.
    pub(super) fn source(&self, bucket: &str) -> Arc<dyn Storage> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || -> Arc<dyn Storage> { Arc::new(S3Storage::new(&self.aws, bucket, "")) };
        sources.entry(bucket.to_owned()).or_insert_with(open).clone()
    }

    /// Whether an object is not data, by its name alone.
    pub fn is_skipped(&self, object: &Announced) -> bool {
        let location = S3Location { bucket: object.bucket.clone(), key: object.key.clone() };
        let mut folders = object.key.split('/').collect::<Vec<_>>();
        let name = folders.pop().unwrap_or_default();
        let is_hidden = |part: &&str| part.starts_with(['_', '.']);
        let is_named = |folder: &&str| self.settings.skip_folders.iter().any(|skip| skip == folder);
        // What the function itself writes, where somebody made both buckets one.
        let is_in_lake = self.settings.lake.contains(&location);
        is_in_lake
            || name.is_empty()
            || is_hidden(&name)
            || folders.iter().any(is_hidden)
            || folders.iter().any(is_named)
    }

    /// What an object that was not begun is told, if it is not to be begun with so much of the invocation left.
    pub fn refusal(&self, object: &Announced, left: Duration, whole: Duration) -> Option<Finished> {
        let size = object.size.unwrap_or(0);
        match self.budget.verdict(size, left, whole) {
            Verdict::Now => None,
            Verdict::Later => Some(Finished {
                error: Some("too little time is left in this invocation".to_owned()),
                ..Finished::unbegun(uri(object), Ended::Postponed)
            }),
            Verdict::Never => {
                let (need, whole) = (self.budget.need(size).as_secs(), whole.as_secs());
                Some(Finished {
                    error: Some(format!(
                        "its {size} bytes need about {need} s, and an invocation of this function has {whole} s"
                    )),
                    hint: Some(self.backfill_command(object)),
                    ..Finished::unbegun(uri(object), Ended::Failed)
                })
            }
        }
    }

    /// How to ingest an object where there is time enough.
    fn backfill_command(&self, object: &Announced) -> String {
        let Settings { lake, catalog, table, .. } = &self.settings;
        format!(
            "give the function more time or memory, or run `iotlake backfill '{}' --lake {lake} --catalog {catalog} \
             --table {table}`; then drop its message",
            uri(object)
        )
    }

    /// What an object is watched by that has to stop when `until` has come.
    pub fn watch(&self, until: Instant) -> Arc<Stopwatch> {
        Arc::new(Stopwatch::start(Path::dotted(ARRIVAL), until))
    }

    /// How an object ended that was cut short for want of time. Objects may use `usable` of an invocation.
    pub fn cut_short(&self, object: &Announced, watch: Arc<Stopwatch>, usable: Duration) -> Finished {
        let read = watch.bytes_read();
        let size = object.size.map_or(String::new(), |size| format!(" of {size}"));
        let seconds = watch.elapsed().as_secs();
        let (ended, error, hint) = if watch.is_too_long(usable) {
            let error = format!(
                "it was not done in {seconds} s, which is all that an invocation has: {read}{size} bytes were read, and \
                 more deliveries will end the same way"
            );
            (Ended::TooLong, error, Some(self.backfill_command(object)))
        } else {
            let error = format!(
                "the time of the invocation was over before it was done: {read}{size} bytes were read in {seconds} s"
            );
            (Ended::Postponed, error, None)
        };
        let error = Some(error);
        Finished { error, hint, watch: Some(watch), ..Finished::unbegun(uri(object), ended) }
    }

    /// Ingests an object; stops when the time of `watch` has come. Objects may use `usable` of an invocation. Blocks.
    pub fn process(&self, object: &Announced, watch: Arc<Stopwatch>, usable: Duration) -> Finished {
        let result = self.ingest(object, &watch);
        let mut finished = Finished::unbegun(uri(object), Ended::Failed);
        match result {
            Ok(Some(outcome)) => {
                let is_done = outcome.status == Status::Done;
                finished.ended = if is_done { Ended::Done } else { Ended::AlreadyDone };
                if is_done {
                    self.budget.learn(outcome.counts.bytes_stored, watch.elapsed());
                    finished.freshness = freshness(&watch, object);
                }
                finished.outcome = Some(outcome);
            }
            Ok(None) => finished.ended = Ended::Gone,
            Err(PipelineError::Stopped) => return self.cut_short(object, watch, usable),
            Err(error) => {
                finished.ended = match &error {
                    PipelineError::Changed { .. } => Ended::Changed,
                    _ => Ended::Failed,
                };
                finished.hint = match &error {
                    PipelineError::Catalog(CatalogError::NoTable { .. }) => Some(
                        "make it with an `init` event; if it was deleted, restore it from a backup first"
                            .into(),
                    ),
                    error => error.hint().map(str::to_owned),
                };
                finished.error = Some(chain(&error));
            }
        }
        finished.watch = Some(watch);
        finished
    }

    /// The way of an object; `None` if it is gone.
    fn ingest(&self, object: &Announced, watch: &Stopwatch) -> Result<Option<Ingested>, PipelineError> {
        let source_name = uri(object);
        let failed = |source| PipelineError::Source { source_name: source_name.clone(), source };
        let from = self.source(&object.bucket);
        let mut source = SourceObject {
            name: source_name.clone(),
            key: object.key.clone(),
            size: object.size.unwrap_or(0),
            modified: None,
            etag: object.etag.clone(),
            hour: None,
        };
        if object.size.is_none() || object.etag.is_none() {
            let Some(meta) = from.head(&object.key).map_err(failed)? else { return Ok(None) };
            (source.size, source.etag, source.modified) = (meta.size, meta.etag, meta.modified);
        }
        let opened = self.open()?;
        source.hour = opened.key_pattern.hour(&source_name);
        if source.hour.is_none() && opened.run.partition_by == PartitionBy::Arrival {
            return Err(PipelineError::NoHour { source_name });
        }
        let pipeline =
            Pipeline { lake: &self.lake, from: &*from, run: &opened.run, shared: &opened.shared, watch };
        let turns = Turns::default();
        match pipeline.process(&source, &turns.enter(0)) {
            Ok(outcome) => Ok(Some(outcome)),
            Err(PipelineError::Source { source: StorageError::NotFound { .. }, .. }) => Ok(None),
            Err(error) => {
                if matches!(error, PipelineError::Catalog(CatalogError::NoTable { .. })) {
                    *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(error)
            }
        }
    }

    /// The table, asked for once. Others wait meanwhile, so that a cold function asks once however many objects it has.
    fn open(&self) -> Result<Arc<Opened>, CatalogError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(opened.clone());
        }
        let name = &self.settings.table;
        let table = self.lake.catalog.table(name)?;
        let table = table.ok_or_else(|| CatalogError::NoTable { name: name.clone() })?;
        let disagrees = |what: &str, has: String, asked: String| CatalogError::Disagrees {
            table: name.clone(),
            what: what.to_owned(),
            has,
            asked,
        };
        if let Some(asked) = self.settings.partition_by.as_ref().filter(|asked| **asked != table.partition_by)
        {
            return Err(disagrees("partition-by", table.partition_by.to_string(), asked.to_string()));
        }
        if let (Some(has), Some(asked)) = (&table.key_pattern, &self.settings.key_pattern)
            && has != asked
        {
            return Err(disagrees("key-pattern", has.to_string(), asked.to_string()));
        }
        let key_pattern = self.settings.key_pattern.clone().or(table.key_pattern.clone()).unwrap_or_default();
        let run = self.run(table.partition_by.clone());
        Ok(opened.insert(Arc::new(Opened { run, key_pattern, shared: Shared::new(table) })).clone())
    }

    /// How sources are processed for a table that is partitioned so.
    pub(super) fn run(&self, partition_by: PartitionBy) -> Run {
        Run {
            partition_by,
            compression: self.settings.compression,
            output_limit: self.settings.max_decoded_bytes,
            on_damage: self.settings.on_damage,
            // Nobody is there to be asked, and a device with a wrong clock must not hold up the others of its object.
            allow_missing_time: true,
            ..Run::new(&self.settings.table)
        }
    }
}

/// The name of an object.
pub fn uri(object: &Announced) -> String {
    format!("s3://{}/{}", object.bucket, object.key)
}

/// Seconds from the arrival of the newest record, or else of the object, until now.
fn freshness(watch: &Stopwatch, object: &Announced) -> Option<f64> {
    // Only what was announced as it landed is fresh; a list is a backfill.
    let landed = object.landed?;
    let arrived = watch.newest().unwrap_or(landed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let seconds = now - arrived as f64 / 1e6;
    // A clock a little ahead of ours is no reason to lose the figure.
    (-60.0..STALE).contains(&seconds).then(|| (seconds.max(0.0) * 1e3).round() / 1e3)
}

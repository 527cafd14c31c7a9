//! What actors do, with the product's own code: deliver a source as the function does, backfill, replace, clean up, make
//! the catalog again, query, audit; and the owner of sources, who changes them.
//!
//! An actor is a list of jobs. A job that was killed or failed is tried again by a new process, as a queue delivers again.
//! What must stay true: whatever happens to a process, its errors are those of a storage that failed or of others who came
//! first; an error that says that something in the lake is wrong breaks the schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use iotlake::audit::{Depth, Rule, Severity, audit};
use iotlake::backfill::{self, Options, Summary};
use iotlake::catalog::{CatalogError, Side, TableName};
use iotlake::clean;
use iotlake::compact::{self, CompactError, CompactOptions, Compactor, Outcome};
use iotlake::digest::Digest;
use iotlake::error::Error;
use iotlake::generation::{GenerationError, Generations};
use iotlake::lake::Lake;
use iotlake::ledger::LedgerError;
use iotlake::pipeline::{Pipeline, PipelineError, Run, Shared, Unrenewed};
use iotlake::plan::{Plan, PlanOptions, Selection, plan};
use iotlake::query::Receipts;
use iotlake::rebuild::{self, RebuildError};
use iotlake::remove::{self, Which};
use iotlake::source::{KeyPattern, SourceObject};
use iotlake::storage::Storage;
use iotlake::turns::Turns;
use iotlake_flatten::Compression;

use crate::catalog::Known;
use crate::faults::Fault;
use crate::sources;
use crate::storage::{Of, Seen};
use crate::world::{Ended, Process, World, until_killed};

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a job is tried.
const TRIES: u32 = 3;

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Job {
    /// As the function, with what it keeps between deliveries.
    Deliver {
        source: usize,
        compression: Compression,
    },
    Backfill {
        replace: bool,
        compression: Compression,
    },
    /// The owner of a source writes it anew.
    Change {
        source: usize,
        version: usize,
    },
    Clean {
        unfinished: bool,
    },
    /// As the command does: generations are made, and what they superseded is removed.
    Compact {
        compression: Compression,
    },
    /// A source is taken out of the lake.
    Remove {
        source: usize,
    },
    Rebuild,
    Read,
    Audit,
}

/// An actor: what it does, one after the other.
pub struct Actor {
    pub number: usize,
    pub jobs: Vec<Job>,
    pub options: Options,
    /// How long superseded files stay.
    pub grace: Duration,
}

/// What a function keeps.
struct Warm {
    process: Arc<Process>,
    lake: Lake,
    shared: Shared,
}

/// The lake as a process has it.
pub fn lake(process: &Arc<Process>) -> Lake {
    let storage = Seen::new(process, Of::Lake);
    match &process.world.catalog {
        Some(catalog) => Lake::new(storage, Known::new(process, catalog)),
        None => Lake::embedded(storage),
    }
}

/// Runs `work` where rayon has one thread, so that chance alone decides what comes first.
fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be had").install(work)
}

impl Actor {
    pub fn run(self, world: &Arc<World>) {
        let mut warm = None;
        for job in &self.jobs {
            for _ in 0..TRIES {
                let ended = until_killed(|| self.job(world, job, &mut warm));
                if world.lock().broken.is_some() {
                    return;
                }
                match ended {
                    Ended::With(Ok(())) => break,
                    Ended::With(Err(error)) => {
                        if let Some(why) = wrong(&error) {
                            world.lock().breaks(format!("{job:?}: {why}"));
                            return;
                        }
                    }
                    Ended::Killed => warm = None,
                }
            }
        }
    }

    fn job(&self, world: &Arc<World>, job: &Job, warm: &mut Option<Warm>) -> Result<(), Error> {
        if let Job::Deliver { source, compression } = job {
            return self.deliver(world, *source, *compression, warm);
        }
        let process = Process::new(world, self.number, true);
        match job {
            Job::Deliver { .. } => Ok(()),
            Job::Backfill { replace, compression } => self.backfill(&process, *replace, *compression),
            Job::Change { source, version } => {
                let mut state = world.turn(&process)?;
                world.raw.put(sources::KEYS[*source], &sources::bytes(*source, *version))?;
                state.touch(sources::KEYS[*source]);
                state.note(self.number, "change", sources::KEYS[*source], &version.to_string());
                Ok(())
            }
            Job::Clean { unfinished } => clean(&process, *unfinished),
            Job::Compact { compression } => compact(&process, self.grace, *compression),
            Job::Remove { source } => remove(&process, &sources::name(*source)),
            Job::Rebuild => self.rebuild(&process),
            Job::Read => read(&process),
            Job::Audit => look(&process),
        }
    }

    fn deliver(
        &self,
        world: &Arc<World>,
        source: usize,
        compression: Compression,
        warm: &mut Option<Warm>,
    ) -> Result<(), Error> {
        let table = &self.options.run.table;
        let Warm { process, lake, shared } = match warm {
            Some(warm) => warm,
            None => {
                let process = Process::new(world, self.number, false);
                let lake = lake(&process);
                let there = lake.catalog.table(table)?;
                let shared = Shared::new(there.ok_or_else(|| CatalogError::NoTable { name: table.clone() })?);
                warm.insert(Warm { process, lake, shared })
            }
        };
        // As it was when it was announced: it may have changed since.
        let announced = sources::bytes(source, 0);
        let name = sources::name(source);
        let source = SourceObject {
            key: sources::KEYS[source].to_owned(),
            size: announced.len() as u64,
            modified: None,
            etag: Some(Digest::of(&announced)),
            hour: KeyPattern::default().hour(&name),
            name,
        };
        let from = Seen::new(process, Of::Raw);
        let run = Run { compression, ..self.options.run.clone() };
        let pipeline = Pipeline { lake, from: &*from, run: &run, shared, watch: &() };
        let turns = Turns::default();
        match pipeline.process(&source, &turns.enter(0)) {
            Err(PipelineError::Changed { .. }) => Ok(()),
            ended => Ok(ended.map(drop)?),
        }
    }

    fn backfill(&self, process: &Arc<Process>, replace: bool, compression: Compression) -> Result<(), Error> {
        let mut options = self.options.clone();
        (options.run.replace, options.run.compression) = (replace, compression);
        let from = Seen::new(process, Of::Raw);
        let plan = sources_in(&*from)?;
        let summary = backfill_all(&lake(process), &*from, &plan, &options)?;
        if let Some(Unrenewed { error, .. }) = summary.unrenewed.into_iter().next() {
            return Err(error.into());
        }
        let mut failed = summary.failed.into_iter().map(|(_, error)| error);
        match failed.find(|error| !matches!(error, PipelineError::Changed { .. })) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn rebuild(&self, process: &Arc<Process>) -> Result<(), Error> {
        let lake = lake(process);
        let (table, contract) = (&self.options.run.table, &self.options.contract);
        let read = || rebuild::read(&lake.storage, table, contract, &KeyPattern::default());
        rebuild::write(&*lake.catalog, &alone(read)?)?;
        Ok(())
    }
}

/// Everything that is to be ingested.
pub fn sources_in(from: &dyn Storage) -> Result<Plan, Error> {
    let planned = PlanOptions { known_as: Some("s3://raw".to_owned()), ..PlanOptions::default() };
    Ok(plan(from, &Selection::Folder(String::new()), &planned)?)
}

/// Backfills a plan.
pub fn backfill_all(
    lake: &Lake,
    from: &dyn Storage,
    plan: &Plan,
    options: &Options,
) -> Result<Summary, Error> {
    let summary = backfill::backfill(lake, from, plan, options, &AtomicBool::new(false), &())?;
    assert!(summary.balances(), "{summary:?}");
    Ok(summary)
}

fn clean(process: &Arc<Process>, unfinished: bool) -> Result<(), Error> {
    let lake = lake(process);
    let fault = process.world.fault;
    let now = clock(process);
    let before = if fault == Some(Fault::NotGivenUp) { now + DAY } else { now - DAY };
    let found = clean::find(&lake, unfinished.then_some(before))?;
    if fault == Some(Fault::LooksOnce) {
        for stale in &found.stale {
            lake.storage.delete(&stale.key)?;
        }
        return Ok(());
    }
    let removed = clean::remove(&lake, &found.stale)?.len() as u64;
    process.world.lock().counts.add("files that were cleaned up", removed);
    Ok(())
}

/// Compacts what is due and sweeps.
pub fn compact(process: &Arc<Process>, grace: Duration, compression: Compression) -> Result<(), Error> {
    process.compacts.store(true, Ordering::Relaxed);
    let lake = lake(process);
    let fault = process.world.fault;
    let grace = if fault == Some(Fault::SweptAtOnce) { Duration::ZERO } else { grace };
    let options = CompactOptions { grace, compression, ..CompactOptions::new(std::env::temp_dir()) };
    let compactor = Compactor::new(&lake, &options);
    for survey in compact::survey(&lake, "events")? {
        let outcome = match survey.is_due() {
            true => compactor.partition("events", survey.partition)?,
            false => Outcome::Nothing { waiting: 0 },
        };
        let now = clock(process);
        let swept = compactor.sweep("events", survey.partition, now)?;
        let mut state = process.world.lock();
        state.counts.add("superseded files that were removed", swept.files);
        match outcome {
            Outcome::Done(_) => state.counts.add("generations that were made", 1),
            Outcome::Lost => state.counts.add("generations that were lost to others", 1),
            Outcome::Nothing { .. } => {}
        }
        drop(state);
        if fault == Some(Fault::WorkSwept) {
            lake.storage.list(&format!("events/{}/", survey.partition.folder_aside()), &mut |meta| {
                let named = Generations::new(&*lake.storage).latest("events", survey.partition);
                let is_named = named.is_ok_and(|manifest| {
                    manifest
                        .is_some_and(|manifest| manifest.outputs.iter().any(|output| output.key == meta.key))
                });
                if is_named { Ok(()) } else { lake.storage.delete(&meta.key) }
            })?;
        }
    }
    Ok(())
}

/// The clock of a process, which is not that of the storage.
fn clock(process: &Process) -> SystemTime {
    let mut state = process.world.lock();
    let skew = Duration::from_secs(u64::from(state.random.below(1200)));
    state.now() + skew - Duration::from_secs(600)
}

fn remove(process: &Arc<Process>, source: &str) -> Result<(), Error> {
    let lake = lake(process);
    let leaving = remove::find(&lake, "events", Which::Source(source))?;
    let busy = remove::remove(&lake, &leaving)?;
    let removed = u64::from(!leaving.is_empty() && busy.is_empty());
    process.world.lock().counts.add("sources that were removed", removed);
    Ok(())
}

/// Reads one table as a query does.
pub fn read(process: &Arc<Process>) -> Result<(), Error> {
    let lake = lake(process);
    for side in Side::BOTH {
        let folder = format!("{}/", TableName::new("events", side));
        let from = process.world.lock().step;
        let (mut files, mut stale) = (BTreeSet::new(), BTreeMap::new());
        if process.world.fault == Some(Fault::ReceiptIgnored) {
            lake.storage.list(&folder, &mut |meta| {
                files.insert(meta.key);
                Ok(())
            })?;
        } else {
            let receipts = Receipts::new(lake.storage.clone(), lake.catalog.clone());
            let choice = alone(|| receipts.choose(&folder))?;
            files.extend(choice.files.into_iter().map(|meta| meta.key));
            stale = choice.stale;
        }
        if process.world.fault == Some(Fault::StaleShown) {
            stale.clear();
        }
        let to = process.world.lock().step;
        for key in &files {
            // One that is gone fails the query, which is asked again.
            lake.storage.get(key)?;
        }
        let mut state = process.world.lock();
        state.counts.add("files that were queried", files.len() as u64);
        let left_out = stale.values().map(BTreeSet::len).sum::<usize>();
        state.counts.add("sources that were left out of generations", left_out as u64);
        if let Err(why) = state.accounts.reading(side, from, to, &files, &stale) {
            state.breaks(why);
        }
    }
    Ok(())
}

/// Audits a lake that is being written to: that alone is no finding.
fn look(process: &Arc<Process>) -> Result<(), Error> {
    let lake = lake(process);
    let audit = alone(|| audit(&*lake.storage, &*lake.catalog, Depth::Footers))?;
    // What a run is about to remove, or to set, is found until it does.
    let passes = |rule| matches!(rule, Rule::StaleFile | Rule::Location);
    let mut findings = audit
        .findings
        .iter()
        .filter(|finding| !passes(finding.rule) && finding.rule.severity() == Severity::Error);
    if let Some(finding) = findings.next() {
        process.world.lock().breaks(format!("the audit of a lake that is written to: {finding}"));
    }
    Ok(())
}

/// What an error says is wrong with the lake; `None` if it is one that passes.
pub fn wrong(error: &Error) -> Option<String> {
    let of_ledger = |error: &LedgerError| {
        matches!(
            error,
            LedgerError::Collision { .. } | LedgerError::Newer { .. } | LedgerError::Damaged { .. }
        )
    };
    let of_catalog = |error: &CatalogError| {
        !matches!(
            error,
            CatalogError::NoTable { .. }
                | CatalogError::Storage(_)
                | CatalogError::Contended { .. }
                | CatalogError::Generation(GenerationError::Storage(_))
        )
    };
    let of_compaction = |error: &CompactError| match error {
        CompactError::Storage(_) | CompactError::Contended { .. } => false,
        CompactError::Generation(error) => !matches!(error, GenerationError::Storage(_)),
        CompactError::Catalog(error) => of_catalog(error),
        CompactError::Ledger(error) => of_ledger(error),
        _ => true,
    };
    let is_wrong = match error {
        Error::Storage(_) | Error::Plan(_) => false,
        Error::Catalog(error) => of_catalog(error),
        Error::Ledger(error) => of_ledger(error),
        Error::Compact(error) => of_compaction(error),
        Error::Generation(error) => !matches!(error, GenerationError::Storage(_)),
        Error::Pipeline(error) => match error {
            PipelineError::Catalog(error) => of_catalog(error),
            PipelineError::Ledger(error) => of_ledger(error),
            PipelineError::Changed { .. }
            | PipelineError::Superseded { .. }
            | PipelineError::Contended { .. }
            | PipelineError::Source { .. }
            | PipelineError::Storage(_) => false,
            _ => true,
        },
        Error::Rebuild(error) => !matches!(
            error,
            RebuildError::Nothing { .. }
                | RebuildError::Storage(_)
                | RebuildError::Ledger(LedgerError::Storage(_))
                | RebuildError::Generation(GenerationError::Storage(_))
                | RebuildError::Catalog(
                    CatalogError::Storage(_) | CatalogError::Generation(GenerationError::Storage(_))
                )
        ),
        _ => true,
    };
    is_wrong.then(|| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        text
    })
}

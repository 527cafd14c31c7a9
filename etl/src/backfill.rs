//! Many sources into one table.
//!
//! In comes a plan; its sources are processed by a number of jobs side by side, each by [`crate::pipeline`]. One source
//! that fails does not stop the others, unless the lake itself takes no more: then none is begun any more. What comes out
//! adds up: every source is done, was done already, failed or was not reached.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use iotlake_flatten::{Contract, Part, Schema};

use crate::catalog::{CatalogError, Table};
use crate::error::Error;
use crate::lake::Lake;
use crate::pipeline::{
    Columns, Counts, Ingested, Leftovers, Pipeline, PipelineError, Remark, Run, Shared, Status, Unrenewed,
    Watch,
};
use crate::plan::{Plan, Unlisted};
use crate::source::{KeyPattern, SourceObject};
use crate::storage::Storage;
use crate::turns::Turns;
use crate::view::View;

/// What a backfill shall do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How each source is processed.
    pub run: Run,
    /// The contract of the table, if it has to be made.
    pub contract: Contract,
    /// How keys tell their hour, as the plan had it.
    pub key_pattern: Option<KeyPattern>,
    /// A view on the table.
    pub view: Option<View>,
    /// Sources processed side by side.
    pub jobs: usize,
}

/// Watches a backfill.
pub trait Observer: Sync {
    /// So many more bytes of sources, as stored, were read.
    fn read(&self, _stored_bytes: u64) {}

    /// So many more rows were made of sources; they may still not be written.
    fn rows(&self, _rows: u64) {}

    /// A source has come to its end.
    fn source(&self, _source: &SourceObject, _result: &Result<Ingested, PipelineError>) {}
}

/// Watches nothing.
impl Observer for () {}

/// What became of all sources.
#[derive(Debug, Default)]
pub struct Summary {
    /// Sources of the plan.
    pub sources: u64,
    /// Sources that this run ingested.
    pub done: u64,
    /// Sources that had a receipt.
    pub already_done: u64,
    /// Sources that failed, by name, with the reason.
    pub failed: Vec<(String, PipelineError)>,
    /// Sources that were not reached because the run was stopped.
    pub not_reached: u64,
    /// Whether the run was stopped.
    pub interrupted: bool,
    /// Accounts of the sources that this run ingested.
    pub counts: Counts,
    /// Their rejects by reason.
    pub rejects_by_reason: BTreeMap<&'static str, u64>,
    /// What became of columns.
    pub columns: Columns,
    /// What a person should know though nothing failed: damage in compressed streams.
    pub warnings: Vec<String>,
    /// The same of files that are there or were.
    pub remarks: Vec<Remark>,
    /// Partitions whose generation still shows what sources were before this run, or an earlier one, replaced them.
    pub unrenewed: Vec<Unrenewed>,
}

impl Summary {
    /// Before anything is done. What could not be listed has failed.
    fn of(plan: &Plan) -> Summary {
        let failed = plan.unlisted.iter().map(|unlisted| {
            let Unlisted { uri, message, hint } = unlisted.clone();
            (uri, PipelineError::Unlisted { message, hint })
        });
        let sources = (plan.sources.len() + plan.unlisted.len()) as u64;
        Summary { sources, failed: failed.collect(), ..Summary::default() }
    }

    /// Whether every record is a row or a reject and every source came to one end.
    pub fn balances(&self) -> bool {
        let ended = self.done + self.already_done + self.failed.len() as u64 + self.not_reached;
        self.counts.balances() && ended == self.sources
    }

    fn add(&mut self, source: &SourceObject, result: Result<Ingested, PipelineError>) {
        match result {
            Ok(outcome) if outcome.status == Status::AlreadyDone => {
                self.already_done += 1;
                self.remarks.extend(outcome.remarks);
            }
            Ok(outcome) => {
                self.done += 1;
                self.counts.add(&outcome.counts);
                self.columns.add(outcome.columns);
                for (reason, count) in outcome.rejects_by_reason {
                    *self.rejects_by_reason.entry(reason).or_default() += count;
                }
                self.warnings.extend(outcome.warnings);
                self.remarks.extend(outcome.remarks);
            }
            Err(PipelineError::Stopped) => self.not_reached += 1,
            Err(error) => self.failed.push((source.name.clone(), error)),
        }
    }
}

/// Ingests every source of `plan`, which lie in `from`, into the table of `options`.
///
/// Setting `stop` ends the run after the parts that are being written; what is done stays done.
///
/// # Errors
/// Only if the table or its view cannot be made, or the lake not be looked at; what happens to sources is in the summary.
pub fn backfill(
    lake: &Lake,
    from: &dyn Storage,
    plan: &Plan,
    options: &Options,
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<Summary, Error> {
    let run = &options.run;
    let table = ensure_table(lake, options)?;
    let leftovers = Leftovers::list(&*lake.storage, &run.table, plan, run.replace)?;
    let shared = Shared::with_leftovers(table, leftovers);
    let turns = Turns::default();
    let next = AtomicUsize::new(0);
    let summary = Mutex::new(Summary::of(plan));
    let is_broken = AtomicBool::new(false);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(source) = plan.sources.get(index) else { break };
            let turn = turns.enter(index);
            let is_stopped = || stop.load(Ordering::Relaxed) || is_broken.load(Ordering::Relaxed);
            let watch = Reading { stop, observer };
            let pipeline = Pipeline { lake, from, run, shared: &shared, watch: &watch };
            let result = if is_stopped() {
                turn.close();
                Err(PipelineError::Stopped)
            } else {
                pipeline.process(source, &turn)
            };
            drop(turn);
            if result.as_ref().is_err_and(PipelineError::ends_all) {
                is_broken.store(true, Ordering::Relaxed);
            }
            observer.source(source, &result);
            summary.lock().unwrap_or_else(PoisonError::into_inner).add(source, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.jobs {
            scope.spawn(work);
        }
        work();
    });
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.interrupted = stop.load(Ordering::Relaxed);
    // Whoever wants to stop is not kept: the next run does it.
    if !summary.interrupted {
        let watch = Reading { stop, observer };
        let pipeline = Pipeline { lake, from, run, shared: &shared, watch: &watch };
        summary.unrenewed = pipeline.renew(&mut summary.remarks)?;
    }
    summary.failed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(summary)
}

/// Hands on what is read, and the wish to stop.
struct Reading<'a> {
    stop: &'a AtomicBool,
    observer: &'a dyn Observer,
}

impl Watch for Reading<'_> {
    fn read(&self, stored_bytes: u64) {
        self.observer.read(stored_bytes);
    }

    fn part(&self, part: &Part) {
        self.observer.rows(u64::from(part.rows));
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Makes the table and its view, unless they are there.
///
/// # Errors
/// If the table that is there disagrees, or the catalog fails.
pub fn ensure_table(lake: &Lake, options: &Options) -> Result<Table, CatalogError> {
    let run = &options.run;
    let schema = Schema::new(options.contract.clone());
    let table = Table::new(&run.table, schema, run.partition_by.clone());
    let view = match &options.view {
        Some(view) if lake.catalog.view(&view.name)?.as_ref() != Some(view) => Some(view),
        _ => None,
    };
    // Before the table is made for it.
    if let Some(view) = view
        && lake.catalog.table(&view.name)?.is_some()
    {
        return Err(CatalogError::taken(&view.name, "a table"));
    }
    let table = lake.catalog.create_table(&table.with_key_pattern(options.key_pattern.clone()))?;
    if let Some(view) = view {
        lake.catalog.put_view(view)?;
    }
    Ok(table)
}

//! `iotlake backfill`: what was typed, checked against the lake and the machine, then the library's backfill.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use iotlake::backfill::{self, Options, Summary};
use iotlake::catalog::{Table, check_name};
use iotlake::lake::Lake;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::Run;
use iotlake::plan::{self, Plan, PlanError, PlanOptions, Selection};
use iotlake::storage::LocalStorage;
use iotlake::twin;
use iotlake::view::{View, rigado_view};
use iotlake_flatten::{Contract, Limits};

use super::args::BackfillArgs;
use super::exit::{self, Exit, Failure, Outcome};
use super::progress::Progress;
use super::report::Report;
use super::{folder_of, local, read_contract, units, write_file};

/// Most bytes that a source decodes to unless it is said otherwise: far beyond any object of a delivery stream, and
/// still an end to a compressed stream that would fill the disk.
const MAX_DECODED_BYTES: u64 = 1 << 40;

/// How many failed sources are printed one by one; the report has all.
const PRINTED_FAILURES: usize = 20;

/// What is meant by the command line, given what is in the lake.
struct Settings {
    source: PathBuf,
    lake: PathBuf,
    plan: PlanOptions,
    contract: Contract,
    view: Option<View>,
    table: String,
    arguments: BackfillArgs,
}

/// Runs the command.
pub fn run(arguments: BackfillArgs) -> Outcome {
    let settings = Settings::of(arguments)?;
    let (from, selection) = plan::open_local(&settings.source)?;
    let plan = plan::plan(&from, &selection, &settings.plan).map_err(plan_failure)?;
    let (jobs, threads) =
        split_cores(settings.arguments.jobs, settings.arguments.threads, plan.sources.len())?;
    use_threads(jobs * threads);
    let lake = Lake::create_local(&settings.lake)?;
    settings.warn_of_twins(&lake, &from, &selection, &plan)?;

    let stop = stop_on_interrupt()?;
    let options = settings.options(jobs, threads);
    let started = Instant::now();
    let progress = Progress::new(&plan, settings.arguments.quiet);
    let summary = backfill::backfill(&lake, &from, &plan, &options, &stop, &progress)?;
    let new_columns = progress.finish();
    let seconds = started.elapsed().as_secs_f64();

    let report =
        Report { settings: &settings.arguments, plan: &plan, summary: &summary, new_columns, seconds };
    settings.tell(&report)?;
    Ok(exit_of(&summary))
}

impl Settings {
    fn of(arguments: BackfillArgs) -> Result<Settings, Failure> {
        local(&arguments.source, "SRC")?;
        local(&arguments.lake, "--lake")?;
        check_name(&arguments.table).map_err(|error| Failure::usage_of(&error, "--table"))?;
        if let (Some(since), Some(until)) = (arguments.since, arguments.until)
            && since >= until
        {
            let message = format!("--since {since} --until {until}: no hour is left between them");
            return Err(Failure::usage(message).with_hint("--until is the first hour that is left out"));
        }
        split_cores(arguments.jobs, arguments.threads, usize::MAX)?;
        if let Some(report) = &arguments.report
            && !folder_of(report).is_dir()
        {
            let message = format!("--report {}: its folder does not exist", report.display());
            return Err(Failure::usage(message).with_hint("make the folder first"));
        }
        keep_apart(&arguments.source, &arguments.lake)?;

        // A table that is there keeps what it was made with unless something else is asked for.
        let there = table_of(&arguments.lake, &arguments.table)?;
        let (contract, view) = match (&arguments.contract, &there) {
            (Some(name), _) => {
                let chosen = read_contract(name)?;
                let view = (chosen.name == "rigado").then(|| rigado_view(&arguments.table));
                (chosen.contract, view)
            }
            (None, Some(table)) => (table.schema.contract().clone(), None),
            (None, None) => (Contract::default(), None),
        };
        let there = there.map(|table| table.partition_by);
        let partition_by: PartitionBy = arguments.partition_by.clone().or(there).unwrap_or_default();
        let plan = PlanOptions {
            known_as: arguments.known_as.clone(),
            since: arguments.since,
            until: arguments.until,
            key_pattern: arguments.key_pattern.clone(),
            partition_by,
        };
        Ok(Settings {
            source: arguments.source.clone(),
            lake: arguments.lake.clone(),
            plan,
            contract,
            view,
            table: arguments.table.clone(),
            arguments,
        })
    }

    fn options(&self, jobs: usize, threads: usize) -> Options {
        Options {
            run: Run {
                table: self.table.clone(),
                partition_by: self.plan.partition_by.clone(),
                compression: self.arguments.compression.into(),
                threads,
                replace: self.arguments.replace,
                output_limit: self.arguments.max_decoded_bytes.unwrap_or(MAX_DECODED_BYTES),
                limits: Limits::default(),
            },
            contract: self.contract.clone(),
            view: self.view.clone(),
            jobs,
        }
    }

    fn warn_of_twins(
        &self,
        lake: &Lake,
        from: &LocalStorage,
        selection: &Selection,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let Some(twin) = twin::find(&lake.ledger(), &self.table, from, plan)? else { return Ok(()) };
        let message = format!(
            "{} looks as if it was ingested before, as {} (same name, size and digest){}; its rows will be in \
             table {} twice",
            twin.identity,
            twin.ingested_as,
            if twin.count > 1 { format!(", and so do {} more", twin.count - 1) } else { String::new() },
            self.table
        );
        let uri = match selection {
            Selection::Object(_) => Some(&twin.ingested_as),
            Selection::Folder(_) => twin.folder.as_ref(),
        };
        let hint = uri.map(|uri| format!("if it is a copy, say where it came from: --as {uri}"));
        exit::warn(&message, hint.as_deref());
        Ok(())
    }

    fn tell(&self, report: &Report<'_>) -> Result<(), Failure> {
        let summary = report.summary;
        for warning in &summary.warnings {
            exit::warn(
                warning,
                Some("the records before the damage were kept; the rest is one reject, `stream`"),
            );
        }
        for (_, error) in summary.failed.iter().take(PRINTED_FAILURES) {
            Failure::of(error, error.hint()).print();
        }
        if summary.failed.len() > PRINTED_FAILURES {
            let more = summary.failed.len() - PRINTED_FAILURES;
            exit::warn(
                &format!("{} more failed", units::plural(more as u64, "source")),
                Some("--report lists all"),
            );
        }
        if let Some(path) = &self.arguments.report {
            write_file("--report", path, report.to_json().as_bytes())?;
        }
        if self.arguments.json {
            exit::print(&report.to_json())?;
        } else if !self.arguments.quiet {
            exit::print(&report.to_text())?;
        }
        Ok(())
    }
}

fn plan_failure(error: PlanError) -> Failure {
    let is_empty = matches!(error, PlanError::Empty { .. });
    let failure = Failure::from(error);
    if is_empty { failure.with_hint("check the path; it is relative to the current folder") } else { failure }
}

/// The table, if the lake and it are there.
fn table_of(lake: &Path, table: &str) -> Result<Option<Table>, Failure> {
    if !lake.exists() {
        return Ok(None);
    }
    Ok(Lake::open_local(lake)?.catalog.table(table)?)
}

/// A lake within its own source would be ingested by the next run.
fn keep_apart(source: &Path, lake: &Path) -> Result<(), Failure> {
    let Ok(source_path) = source.canonicalize() else { return Ok(()) };
    let Ok(lake_path) = lake.canonicalize().or_else(|_| {
        let name = lake.file_name().unwrap_or_default();
        folder_of(lake).canonicalize().map(|folder| folder.join(name))
    }) else {
        return Ok(());
    };
    let (inner, outer) = match (lake_path.starts_with(&source_path), source_path.starts_with(&lake_path)) {
        (true, _) => ("--lake", "SRC"),
        (_, true) => ("SRC", "--lake"),
        _ => return Ok(()),
    };
    let message = format!("SRC {} --lake {}: {inner} lies within {outer}", source.display(), lake.display());
    Err(Failure::usage(message).with_hint("keep sources and lake in folders beside each other"))
}

/// Jobs and threads of each that together take no more than the cores. What was not given is chosen.
pub(super) fn split_cores(
    jobs: Option<usize>,
    threads: Option<usize>,
    sources: usize,
) -> Result<(usize, usize), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for (flag, number) in [("--jobs", jobs), ("--threads", threads)] {
        if number == Some(0) {
            return Err(
                Failure::usage(format!("{flag} 0: nothing would be done")).with_hint("use at least 1")
            );
        }
    }
    let wanted = jobs.unwrap_or(1).saturating_mul(threads.unwrap_or(1));
    if wanted > cores {
        let flags = [("--jobs", jobs), ("--threads", threads)];
        let flags = flags.iter().filter_map(|(flag, number)| number.map(|number| format!("{flag} {number}")));
        let flags: Vec<_> = flags.collect();
        let message = format!("{}: {wanted} threads, but this machine has {cores} cores", flags.join(" "));
        return Err(Failure::usage(message).with_hint(format!(
            "choose them so that jobs times threads is at most {cores}; what is left out is chosen so"
        )));
    }
    let jobs = jobs.unwrap_or((cores / threads.unwrap_or(1)).min(sources.max(1)));
    Ok((jobs, threads.unwrap_or(cores / jobs)))
}

/// The threads that jobs share for what they do side by side.
pub(super) fn use_threads(number: usize) {
    if number > 1 {
        // Fails only if they are there already.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(number).build_global();
    }
}

/// Set by the first Ctrl-C; the second ends the process, which is safe at any time.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Failed as i32);
        }
        exit::warn("stopping after the parts that are being written; Ctrl-C again stops at once", None);
    };
    match ctrlc::set_handler(handler) {
        Ok(()) => Ok(stop),
        Err(error) => Err(Failure::new(format!("cannot listen for Ctrl-C: {error}"))),
    }
}

fn exit_of(summary: &Summary) -> Exit {
    assert!(summary.balances(), "the accounts of a backfill do not add up: {summary:?}");
    if !summary.failed.is_empty() || summary.not_reached > 0 {
        Exit::Failed
    } else if summary.counts.rejected > 0 {
        Exit::Rejects
    } else {
        Exit::Done
    }
}

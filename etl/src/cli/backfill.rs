//! `iotlake backfill`: what was typed, checked against the lake and the machine, then the library's backfill.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use iotlake::backfill::{self, Options, Summary};
use iotlake::catalog::{CatalogError, Table, check_name};
use iotlake::lake::Lake;
use iotlake::location::{CatalogChoice, LazyAws, Location};
use iotlake::pipeline::Run;
use iotlake::plan::{self, Plan, PlanOptions, Selection};
use iotlake::remote::Fault;
use iotlake::storage::Storage;
use iotlake::twin;
use iotlake::view::{View, rigado_view};
use iotlake_flatten::{Contract, Limits};

use super::args::{BackfillArgs, LakeArgs};
use super::exit::{self, Exit, Failure, Outcome};
use super::progress::Progress;
use super::report::Report;
use super::times;
use super::{check_lake, folder_of, open_failure, read_contract, units, write_file};

/// How many failed sources are printed one by one; the report has all.
const PRINTED_FAILURES: usize = 20;

/// Sources on S3 are waited for more than they are computed on: a source is a handful of requests one after the other
/// (receipt, body, files, partition, receipt), some 30 ms each, and a core does in that time what a delivery stream
/// closes in minutes. Four jobs a core keep it busy; more would only hold more parts in memory, one of 64 MiB each.
const JOBS_PER_CORE_ON_S3: usize = 4;

/// Sources larger than this compute longer than they wait: two jobs a core then hide what waiting there is, with half
/// the memory.
const LARGE_SOURCE: u64 = 8 << 20;

/// What is meant by the command line, given what is in the lake.
struct Request {
    aws: LazyAws,
    plan: PlanOptions,
    contract: Contract,
    view: Option<View>,
    table: String,
    /// Whether the table has to be made.
    is_new: bool,
    arguments: BackfillArgs,
}

/// Runs the command.
pub fn run(arguments: BackfillArgs) -> Outcome {
    let settings = Request::of(arguments)?;
    let (from, selection) =
        plan::open(&settings.arguments.source, Some(&settings.arguments.lake.lake), &settings.aws)?;
    let from = &*from;
    let plan = plan::plan(from, &selection, &settings.plan)
        .map_err(|error| times::plan_failure(error, from, &selection, &settings.plan))?;
    if settings.is_new && !settings.arguments.allow_missing_time {
        times::refuse_table_without(from, &plan, &settings.plan.partition_by)?;
    }
    let (jobs, threads) = settings.split_cores(&plan)?;
    use_threads((jobs * threads).min(cores()));
    let lake = settings.create_lake()?;
    settings.refuse_twins(&lake, from, &selection, &plan)?;

    let stop = stop_on_interrupt()?;
    let options = settings.options(jobs, threads);
    let started = Instant::now();
    let progress = Progress::new(&plan, settings.arguments.quiet);
    let summary = backfill::backfill(&lake, from, &plan, &options, &stop, &progress)?;
    let new_columns = progress.finish();
    let seconds = started.elapsed().as_secs_f64();

    let report = Report {
        settings: &settings.arguments,
        partition_by: &settings.plan.partition_by,
        contract: &settings.contract,
        plan: &plan,
        summary: &summary,
        new_columns,
        seconds,
    };
    settings.tell(&report)?;
    Ok(exit_of(&summary))
}

impl Request {
    fn of(arguments: BackfillArgs) -> Result<Request, Failure> {
        check_lake(&arguments.lake)?;
        if arguments.create_database && arguments.lake.catalog == CatalogChoice::Embedded {
            let message = "--create-database: the embedded catalog has no database";
            return Err(
                Failure::usage(message).with_hint("name one with --catalog glue:DATABASE, or leave it out")
            );
        }
        check_name(&arguments.table).map_err(|error| Failure::usage_of(&error, "--table"))?;
        if let (Some(since), Some(until)) = (arguments.since, arguments.until)
            && since >= until
        {
            let message = format!("--since {since} --until {until}: no hour is left between them");
            return Err(Failure::usage(message).with_hint("--until is the first hour that is left out"));
        }
        split_cores(arguments.jobs, arguments.threads, usize::MAX, most_threads(&arguments.source))?;
        if let Some(report) = &arguments.report
            && !folder_of(report).is_dir()
        {
            let message = format!("--report {}: its folder does not exist", report.display());
            return Err(Failure::usage(message).with_hint("make the folder first"));
        }
        keep_apart(&arguments.source, &arguments.lake.lake)?;

        // A table that is there keeps what it was made with unless something else is asked for.
        let aws = LazyAws::default();
        let there = table_of(&arguments, &aws)?;
        let (contract, view) = match (&arguments.contract, &there) {
            (Some(name), _) => {
                let chosen = read_contract(name)?;
                let view = (chosen.name == "rigado").then(|| rigado_view(&arguments.table));
                (chosen.contract, view)
            }
            (None, Some(table)) => (table.schema.contract().clone(), None),
            (None, None) => (Contract::default(), None),
        };
        let (by, pattern) = there.map(|table| (table.partition_by, table.key_pattern)).unzip();
        let is_new = by.is_none();
        let partition_by = times::partition_by(&arguments, by)?;
        let key_pattern = arguments.key_pattern.clone().or(pattern.flatten()).unwrap_or_default();
        let plan = PlanOptions {
            known_as: arguments.known_as.clone(),
            since: arguments.since,
            until: arguments.until,
            key_pattern,
            partition_by,
        };
        Ok(Request { aws, plan, contract, view, table: arguments.table.clone(), is_new, arguments })
    }

    fn create_lake(&self) -> Result<Lake, Failure> {
        let BackfillArgs { lake: LakeArgs { lake, catalog }, create_database, .. } = &self.arguments;
        Lake::create(lake, catalog, *create_database, &self.aws).map_err(open_failure)
    }

    /// Jobs and threads for these sources.
    fn split_cores(&self, plan: &Plan) -> Result<(usize, usize), Failure> {
        let BackfillArgs { source, jobs, threads, .. } = &self.arguments;
        let sources = plan.sources.len();
        let most = most_threads(source);
        let is_large = plan.bytes / (sources as u64).max(1) > LARGE_SOURCE;
        match (source, jobs) {
            // What follows is only the default: whoever asks for all of them gets them.
            (Location::S3(_), None) if is_large => {
                split_cores(*jobs, *threads, sources, most.min(2 * cores()))
            }
            _ => split_cores(*jobs, *threads, sources, most),
        }
    }

    fn options(&self, jobs: usize, threads: usize) -> Options {
        Options {
            run: Run {
                table: self.table.clone(),
                partition_by: self.plan.partition_by.clone(),
                compression: self.arguments.compression.into(),
                threads,
                replace: self.arguments.replace,
                output_limit: self.arguments.max_decoded_bytes.unwrap_or(Run::OUTPUT_LIMIT),
                on_damage: self.arguments.on_damage.into(),
                allow_missing_time: self.arguments.allow_missing_time,
                spill: std::env::temp_dir(),
                limits: Limits::default(),
            },
            contract: self.contract.clone(),
            key_pattern: Some(self.plan.key_pattern.clone()),
            view: self.view.clone(),
            jobs,
        }
    }

    /// Stops, before anything is written, at sources that the table seems to have under other names.
    fn refuse_twins(
        &self,
        lake: &Lake,
        from: &dyn Storage,
        selection: &Selection,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let BackfillArgs { source, lake: LakeArgs { lake: location, .. }, known_as, .. } = &self.arguments;
        let twin = match (location, source) {
            _ if self.arguments.again => None,
            (Location::Local(_), _) => twin::find(&lake.ledger(), &self.table, from, plan)?,
            // Each receipt is a request there, so that only what is most likely a copy is looked for.
            (Location::S3(_), Location::Local(_)) if known_as.is_none() => {
                twin::glance(lake, &self.table, from, plan)?
            }
            (Location::S3(_), _) => None,
        };
        let Some(twin) = twin else { return Ok(()) };
        let message = format!(
            "{} looks as if it was ingested before, as {} (same name, size and digest){}; its rows would be in \
             table {} twice",
            twin.name,
            twin.ingested_as,
            if twin.count > 1 { format!(", and so do {} more", twin.count - 1) } else { String::new() },
            self.table
        );
        let uri = match selection {
            Selection::Object(_) => Some(&twin.ingested_as),
            Selection::Folder(_) => twin.folder.as_ref(),
        };
        let again = "--again ingests it all the same";
        let hint = match uri {
            Some(uri) => format!("if it is a copy, say where it came from: --as {uri}; {again}"),
            None => format!("if it is a copy, say with --as where it came from; {again}"),
        };
        Err(Failure::new(message).with_hint(hint))
    }

    fn tell(&self, report: &Report<'_>) -> Result<(), Failure> {
        let summary = report.summary;
        for warning in report.warnings() {
            exit::warn(&warning.message, warning.hint);
        }
        for remark in &summary.remarks {
            exit::warn(&remark.message, Some(remark.hint));
        }
        // What ended the run is the same for all sources that met it.
        let (ended, failed): (Vec<_>, Vec<_>) =
            summary.failed.iter().partition(|(_, error)| error.ends_all());
        for (_, error) in failed.iter().take(PRINTED_FAILURES) {
            Failure::of(error).print();
        }
        if let Some((_, error)) = ended.first() {
            let names: Vec<_> = ended.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("{error}; not done: {}", names.join(", "));
            Failure::of(error).with_message(message).print();
        }
        if failed.len() > PRINTED_FAILURES {
            let more = failed.len() - PRINTED_FAILURES;
            exit::warn(
                &format!("{} more failed", units::plural(more as u64, "source")),
                Some("--report lists all"),
            );
        }
        for unrenewed in &summary.unrenewed {
            Failure::of(&unrenewed.error).print();
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

/// The table, if the lake and it are there.
fn table_of(arguments: &BackfillArgs, aws: &LazyAws) -> Result<Option<Table>, Failure> {
    let LakeArgs { lake: location, catalog } = &arguments.lake;
    if matches!(location, Location::Local(path) if !path.exists()) {
        return Ok(None);
    }
    let lake = Lake::open(location, catalog, aws).map_err(open_failure)?;
    match lake.catalog.table(&arguments.table) {
        Err(CatalogError::Remote(error)) if arguments.create_database && error.fault == Fault::NoDatabase => {
            Ok(None)
        }
        table => Ok(table?),
    }
}

/// A lake within its own source would be ingested by the next run.
fn keep_apart(source: &Location, lake: &Location) -> Result<(), Failure> {
    let (lake_is_inner, source_is_inner) = match (source, lake) {
        (Location::Local(source), Location::Local(lake)) => {
            let Ok(source_path) = source.canonicalize() else { return Ok(()) };
            let Some(lake_path) = canonical(lake) else { return Ok(()) };
            (lake_path.starts_with(&source_path), source_path.starts_with(&lake_path))
        }
        (Location::S3(source), Location::S3(lake)) => (source.contains(lake), lake.contains(source)),
        _ => return Ok(()),
    };
    let (inner, outer) = match (lake_is_inner, source_is_inner) {
        (true, _) => ("--lake", "SRC"),
        (_, true) => ("SRC", "--lake"),
        _ => return Ok(()),
    };
    let message = format!("SRC {source} --lake {lake}: {inner} lies within {outer}");
    Err(Failure::usage(message).with_hint("keep sources and lake in folders beside each other"))
}

/// The canonical path of a folder that need not be there itself.
fn canonical(folder: &Path) -> Option<std::path::PathBuf> {
    let there = folder.canonicalize().or_else(|_| {
        let name = folder.file_name().unwrap_or_default();
        folder_of(folder).canonicalize().map(|above| above.join(name))
    });
    there.ok()
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many threads may wait or compute for sources that lie there.
fn most_threads(source: &Location) -> usize {
    match source {
        Location::Local(_) => cores(),
        Location::S3(_) => JOBS_PER_CORE_ON_S3 * cores(),
    }
}

/// Jobs and threads of each that together are at most `most`. What was not given is chosen; never more threads for a
/// source than there are cores.
pub(super) fn split_cores(
    jobs: Option<usize>,
    threads: Option<usize>,
    sources: usize,
    most: usize,
) -> Result<(usize, usize), Failure> {
    for (flag, number) in [("--jobs", jobs), ("--threads", threads)] {
        if number == Some(0) {
            return Err(
                Failure::usage(format!("{flag} 0: nothing would be done")).with_hint("use at least 1")
            );
        }
    }
    let wanted = jobs.unwrap_or(1).saturating_mul(threads.unwrap_or(1));
    if wanted > most {
        let flags = [("--jobs", jobs), ("--threads", threads)];
        let flags = flags.iter().filter_map(|(flag, number)| number.map(|number| format!("{flag} {number}")));
        let flags: Vec<_> = flags.collect();
        let message =
            format!("{}: {wanted} threads, but this machine has {} cores", flags.join(" "), cores());
        return Err(Failure::usage(message)
            .with_hint(format!("jobs x threads must be at most {most}; omit one to have it chosen")));
    }
    let jobs = jobs.unwrap_or((most / threads.unwrap_or(1)).min(sources.max(1)));
    Ok((jobs, threads.unwrap_or((most / jobs).min((cores() / jobs).max(1)))))
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
            exit::warn("stopped at once; the same command again does the rest", None);
            std::process::exit(Exit::Interrupted as i32);
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
    if summary.interrupted && summary.not_reached > 0 {
        Exit::Interrupted
    } else if !summary.failed.is_empty() || summary.not_reached > 0 || !summary.unrenewed.is_empty() {
        Exit::Failed
    } else if summary.counts.rejected > 0 {
        Exit::Rejects
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_chosen_within_the_machine() {
        let cores = cores();
        let split = |jobs, threads, sources, most| split_cores(jobs, threads, sources, most).unwrap();
        assert_eq!(split(None, None, 1000, cores), (cores, 1));
        assert_eq!(split(None, None, 1, cores), (1, cores));
        assert_eq!(split(Some(1), None, 1000, cores), (1, cores));
        // Sources that are waited for: more jobs than cores, never more threads than cores.
        assert_eq!(split(None, None, 1000, 4 * cores), (4 * cores, 1));
        assert_eq!(split(None, None, 1, 4 * cores), (1, cores));
        assert_eq!(split(Some(4 * cores), None, 1, 4 * cores), (4 * cores, 1));
        assert!(split_cores(Some(4 * cores + 1), None, 1, 4 * cores).is_err());
        assert!(split_cores(Some(cores), Some(5), 1, 4 * cores).is_err());
        assert!(split_cores(Some(0), None, 1, cores).is_err());
    }
}

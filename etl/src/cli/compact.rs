//! `iotlake compact`: many small files into a few, sorted; and away with what these superseded.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use iotlake::catalog::CatalogError;
use iotlake::compact::{
    CompactError, CompactOptions, Compactor, Outcome as Compaction, Survey, Swept, survey,
};
use iotlake::lake::Lake;
use iotlake::location::Location;
use iotlake::partition::Partition;
use serde_json::json;

use super::args::{CompactArgs, ReportArgs};
use super::exit::{Exit, Failure, Outcome, print};
use super::open_lake;
use super::units::{self, plural};

/// Less is not enough for the file that is made, whatever is sorted.
const LEAST_MEMORY: u64 = 192 << 20;

const BAR: &str = "{bar:24} {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  {msg}  {eta} left";

/// What became of a table.
#[derive(Default)]
struct Totals {
    compacted: u64,
    files_in: u64,
    bytes_in: u64,
    files_out: u64,
    bytes_out: u64,
    rows: u64,
    removed: u64,
    waiting: u64,
    lost: u64,
    swept: Swept,
    failed: Vec<(Partition, CompactError)>,
}

/// Runs the command.
pub fn run(arguments: CompactArgs) -> Outcome {
    if arguments.memory < LEAST_MEMORY {
        let least = LEAST_MEMORY >> 20;
        return Err(Failure::usage(format!("--memory: at least {least} MiB")));
    }
    let lake = open_lake(&arguments.lake)?;
    let tables = match &arguments.table {
        Some(table) => vec![table.clone()],
        None => lake.catalog.tables()?,
    };
    let options = options(&arguments);
    let mut reports = Vec::new();
    let mut exit = Exit::Done;
    for table in &tables {
        let (report, has_failed) = of_table(&lake, table, &options, &arguments)?;
        reports.push(report);
        if has_failed {
            exit = Exit::Failed;
        }
    }
    if arguments.print.json {
        let mut text = serde_json::to_string_pretty(&json!({ "tables": reports })).expect("a report is JSON");
        text.push('\n');
        print(&text)?;
    }
    Ok(exit)
}

fn options(arguments: &CompactArgs) -> CompactOptions {
    let grace = match (&arguments.lake.lake, arguments.grace) {
        (_, Some(grace)) => grace,
        (Location::S3(_), None) => CompactOptions::GRACE,
        (Location::Local(_), None) => CompactOptions::LOCAL_GRACE,
    };
    CompactOptions {
        compression: arguments.compression.into(),
        memory: usize::try_from(arguments.memory).unwrap_or(usize::MAX),
        settled: arguments.settled,
        grace,
        ..CompactOptions::new(std::env::temp_dir())
    }
}

/// Compacts a table; its report, and whether something failed.
fn of_table(
    lake: &Lake,
    table: &str,
    options: &CompactOptions,
    arguments: &CompactArgs,
) -> Result<(serde_json::Value, bool), Failure> {
    let CompactArgs { since, until, print: ReportArgs { json, quiet }, .. } = arguments;
    let is_told = !json && !quiet;
    let contract = lake.catalog.table(table)?.map(|table| table.schema.contract().clone());
    let contract = contract.ok_or_else(|| CatalogError::NoTable { name: table.to_owned() })?;
    let now = SystemTime::now();
    let is_asked = |survey: &Survey| {
        since.is_none_or(|since| since <= survey.partition)
            && until.is_none_or(|until| survey.partition < until)
    };
    let all: Vec<Survey> = survey(lake, table)?.into_iter().filter(is_asked).collect();
    let (due, rest): (Vec<Survey>, Vec<Survey>) =
        all.iter().partition(|survey| survey.is_due() && survey.is_closed(options, now));
    let open = rest.iter().filter(|survey| survey.is_due()).count() as u64;
    if arguments.dry_run {
        if is_told {
            print(&dry_text(table, all.len() as u64, &due, open, !contract.sort.is_empty()))?;
        }
        return Ok((dry_json(table, all.len(), &due, open), false));
    }
    let work: Vec<&Survey> = due.iter().chain(rest.iter().filter(|survey| survey.superseded > 0)).collect();
    let totals = Mutex::new(Totals::default());
    let bar = bar(work.iter().map(|survey| survey.bytes).sum(), *quiet);
    let compactor = Compactor::new(lake, options);
    let next = AtomicUsize::new(0);
    let steps = || {
        while let Some(survey) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            bar.set_message(format!("{table} {}", survey.partition));
            let is_due = survey.is_due() && survey.is_closed(options, now);
            let result = one(&compactor, table, survey.partition, is_due);
            bar.inc(survey.bytes);
            totals.lock().unwrap_or_else(PoisonError::into_inner).add(survey.partition, result);
        }
    };
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        for _ in 1..jobs.clamp(1, work.len().max(1)) {
            scope.spawn(steps);
        }
        steps();
    });
    bar.finish_and_clear();
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (_, error) in &totals.failed {
        Failure::of(error).print();
    }
    if is_told {
        print(&to_text(table, all.len() as u64, &totals, open, options))?;
    }
    Ok((to_json(table, all.len(), &totals, open), !totals.failed.is_empty()))
}

fn one(
    compactor: &Compactor<'_>,
    table: &str,
    partition: Partition,
    is_due: bool,
) -> Result<(Option<Compaction>, Swept), CompactError> {
    let outcome = if is_due { Some(compactor.partition(table, partition)?) } else { None };
    Ok((outcome, compactor.sweep(table, partition, SystemTime::now())?))
}

fn bar(bytes: u64, quiet: bool) -> ProgressBar {
    if quiet || bytes == 0 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr_with_hz(8));
    bar.with_style(ProgressStyle::with_template(BAR).expect("the template is one"))
}

impl Totals {
    fn add(&mut self, partition: Partition, result: Result<(Option<Compaction>, Swept), CompactError>) {
        let (outcome, swept) = match result {
            Err(error) => return self.failed.push((partition, error)),
            Ok(ended) => ended,
        };
        self.swept.files += swept.files;
        self.swept.bytes += swept.bytes;
        self.swept.kept += swept.kept;
        match outcome {
            None => {}
            Some(Compaction::Lost) => self.lost += 1,
            Some(Compaction::Nothing { waiting }) => self.waiting += waiting,
            Some(Compaction::Done(done)) => {
                self.compacted += 1;
                self.files_in += done.files_in;
                self.bytes_in += done.bytes_in;
                self.files_out += done.files_out;
                self.bytes_out += done.bytes_out;
                self.rows += done.rows;
                self.removed += done.removed;
                self.waiting += done.waiting;
            }
        }
    }
}

fn to_text(table: &str, partitions: u64, totals: &Totals, open: u64, options: &CompactOptions) -> String {
    let Totals {
        compacted,
        files_in,
        bytes_in,
        files_out,
        bytes_out,
        rows,
        removed,
        waiting,
        lost,
        swept,
        failed,
    } = totals;
    let mut text =
        format!("{table}: {} of {} compacted", units::count(*compacted), plural(partitions, "partition"));
    if *compacted > 0 {
        let (bytes_in, bytes_out) = (units::bytes(*bytes_in), units::bytes(*bytes_out));
        let (files_in, files_out) = (plural(*files_in, "file"), plural(*files_out, "file"));
        let _ = write!(
            text,
            ": {files_in}, {bytes_in}, became {files_out}, {bytes_out}, of {}",
            plural(*rows, "row")
        );
    }
    text.push('\n');
    let mut tell = |number: u64, noun: &str, what: &str| {
        if number > 0 {
            let _ = writeln!(text, "  {} {what}", plural(number, noun));
        }
    };
    tell(*removed, "row", "of sources that were ingested anew left out");
    tell(swept.files, "superseded file", &format!("removed, {}", units::bytes(swept.bytes)));
    tell(
        swept.kept,
        "superseded file",
        &format!("left for {} to those who read them", duration(options.grace)),
    );
    tell(
        *waiting,
        "file",
        "named by no receipt: of sources that are not done, or were before; `iotlake audit` tells",
    );
    tell(open, "partition", "not closed yet (--settled)");
    tell(*lost, "partition", "compacted by another run meanwhile");
    tell(failed.len() as u64, "partition", "failed; readers see there what they saw");
    text
}

fn to_json(table: &str, partitions: usize, totals: &Totals, open: u64) -> serde_json::Value {
    let failed = totals.failed.iter().map(|(partition, error)| {
        let mut entry = Failure::of(error).as_json();
        entry["partition"] = json!(partition);
        entry
    });
    json!({
        "table": table,
        "partitions": partitions,
        "compacted": totals.compacted,
        "not_closed": open,
        "lost": totals.lost,
        "files_in": totals.files_in,
        "bytes_in": totals.bytes_in,
        "files_out": totals.files_out,
        "bytes_out": totals.bytes_out,
        "rows": totals.rows,
        "removed": totals.removed,
        "waiting": totals.waiting,
        "swept": { "files": totals.swept.files, "bytes": totals.swept.bytes, "kept": totals.swept.kept },
        "failures": failed.collect::<Vec<_>>(),
    })
}

fn dry_text(table: &str, partitions: u64, due: &[Survey], open: u64, is_sorted: bool) -> String {
    let mut text = String::new();
    for survey in due {
        let late = if survey.generation > 0 { " that came late" } else { "" };
        let (files, bytes) = (plural(survey.files, "file"), units::bytes(survey.bytes));
        let _ = writeln!(text, "would compact: {table} {}: {files}, {bytes}{late}", survey.partition);
    }
    let _ = writeln!(
        text,
        "{table}: {} of {} would be compacted",
        units::count(due.len() as u64),
        plural(partitions, "partition")
    );
    if open > 0 {
        let _ = writeln!(text, "  {} not closed yet (--settled)", plural(open, "partition"));
    }
    if !is_sorted {
        text.push_str("  rows will be in the order of their sources: the table's contract has no `sort`\n");
    }
    text
}

fn dry_json(table: &str, partitions: usize, due: &[Survey], open: u64) -> serde_json::Value {
    let due = due.iter().map(|survey| {
        json!({
            "partition": survey.partition,
            "generation": survey.generation,
            "files": survey.files,
            "bytes": survey.bytes,
        })
    });
    json!({ "table": table, "partitions": partitions, "not_closed": open, "due": due.collect::<Vec<_>>() })
}

/// In the largest unit that is whole.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0 s".to_owned(),
        seconds if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

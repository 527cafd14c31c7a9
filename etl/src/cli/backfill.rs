//! `iotlake backfill`: what was typed, checked against the lake and the machine, then the library's backfill.

use std::path::PathBuf;
use std::time::Instant;

use iotlake::backfill::{self, Summary};
use iotlake::plan::{self, PlanOptions};

use super::args::BackfillArgs;
use super::cores::{cores, use_threads};
use super::exit::{self, Exit, Failure, Outcome};
use super::ingest::{self, Ingest};
use super::progress::Progress;
use super::report::Report;
use super::{folder_of, times, units, write_file};

/// How many failed sources are printed one by one; the report has all.
const PRINTED_FAILURES: usize = 20;

/// Runs the command.
pub fn run(arguments: BackfillArgs) -> Outcome {
    check(&arguments)?;
    let BackfillArgs { source, ingest, since, until, replace, report: to, json, quiet } = arguments;
    let ingest = Ingest::of(ingest, "SRC", &source)?;
    let options = PlanOptions {
        known_as: ingest.arguments.known_as.clone(),
        since,
        until,
        key_pattern: ingest.key_pattern.clone(),
        partition_by: ingest.partition_by.clone(),
    };
    let (from, selection) = plan::open(&source, Some(&ingest.arguments.lake.lake), &ingest.aws)?;
    let from = &*from;
    let plan = plan::plan(from, &selection, &options)
        .map_err(|error| times::plan_failure(error, from, &selection, &options))?;
    if ingest.is_new && !ingest.arguments.allow_missing_time {
        times::refuse_table_without(from, &plan, &ingest.partition_by)?;
    }
    let (jobs, threads) = ingest.split_cores(&plan)?;
    use_threads((jobs * threads).min(cores()));
    let lake = ingest.create_lake()?;
    ingest.refuse_twins(&lake, from, &selection, &plan)?;

    let stop = ingest::stop_on_interrupt(|| {})?;
    let options = ingest.options((jobs, threads), replace);
    let started = Instant::now();
    let progress = Progress::new(&plan, quiet);
    let summary = backfill::backfill(&lake, from, &plan, &options, &stop, &progress)?;
    let new_columns = progress.finish();
    let seconds = started.elapsed().as_secs_f64();

    let report = Report {
        from: &source,
        settings: &ingest.arguments,
        partition_by: &ingest.partition_by,
        contract: &ingest.contract,
        plan: &plan,
        summary: &summary,
        new_columns,
        seconds,
    };
    tell(&report, to)?;
    if json {
        exit::print(&report.to_json())?;
    } else if !quiet {
        exit::print(&report.to_text())?;
    }
    Ok(exit_of(&summary))
}

/// Refuses what cannot be meant, before anything is looked at.
fn check(arguments: &BackfillArgs) -> Result<(), Failure> {
    if let (Some(since), Some(until)) = (arguments.since, arguments.until)
        && since >= until
    {
        let message = format!("--since {since} --until {until}: no hour is left between them");
        return Err(Failure::usage(message).with_hint("--until is the first hour that is left out"));
    }
    if let Some(report) = &arguments.report
        && !folder_of(report).is_dir()
    {
        let message = format!("--report {}: its folder does not exist", report.display());
        return Err(Failure::usage(message).with_hint("make the folder first"));
    }
    Ok(())
}

/// Warnings and failures, and the report as a file.
fn tell(report: &Report<'_>, to: Option<PathBuf>) -> Result<(), Failure> {
    let summary = report.summary;
    for warning in report.warnings() {
        exit::warn(&warning.message, warning.hint);
    }
    ingest::tell_remarks(summary);
    let failed: Vec<_> = summary.failed.iter().filter(|(_, error)| !error.ends_all()).collect();
    for (_, error) in failed.iter().take(PRINTED_FAILURES) {
        Failure::of(error).print();
    }
    ingest::tell_end(summary);
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
    if let Some(path) = &to {
        write_file("--report", path, report.to_json().as_bytes())?;
    }
    Ok(())
}

fn exit_of(summary: &Summary) -> Exit {
    match summary.interrupted && summary.not_reached > 0 {
        true => Exit::Interrupted,
        false => ingest::exit_of(summary),
    }
}

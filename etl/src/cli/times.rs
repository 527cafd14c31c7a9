//! Times in records: what `backfill` is told of them, and what it says where there are none.
//!
//! In come the command line and the beginnings of sources; out come the way to partition, and refusals that name a path
//! the data really has. What must stay true: a table that would file every row under year=0000 is never made unasked.

use iotlake::partition::PartitionBy;
use iotlake::peek::{Peek, peek};
use iotlake::pipeline::Counts;
use iotlake::plan::{self, Plan, PlanError, PlanOptions, Selection};
use iotlake::storage::Storage;
use iotlake_flatten::Path;

use super::args::IngestArgs;
use super::exit::Failure;
use super::report::Warning;
use super::units::{count, plural};

/// How many sources are looked into before a table is made: a few with nothing but wrong clocks are no proof.
const PEEKED_SOURCES: usize = 8;

/// What `--partition-by` and `--assume-utc` ask for, of a table that has `there`.
pub fn partition_by(arguments: &IngestArgs, there: Option<PartitionBy>) -> Result<PartitionBy, Failure> {
    let by = arguments.partition_by.clone().or(there).unwrap_or_default();
    if !arguments.assume_utc {
        return Ok(by);
    }
    by.assuming_utc().ok_or_else(|| {
        Failure::usage("--assume-utc: rows are filed by the hour in the key, not by a time in the record")
            .with_hint("name the path of the time with --partition-by event:PATH, or leave --assume-utc out")
    })
}

/// Why there is no plan, with a path to partition by if that is what is missing.
pub fn plan_failure(
    error: PlanError,
    from: &dyn Storage,
    selection: &Selection,
    options: &PlanOptions,
) -> Failure {
    let failure = Failure::of(&error);
    if !matches!(error, PlanError::NoHour { .. }) {
        return failure;
    }
    if options.since.or(options.until).is_some() {
        return failure.with_hint(
            "--since and --until go by the hour in keys: say how keys tell it with --key-pattern, such as \
             '{yyyy}/{MM}/{dd}/{HH}/'",
        );
    }
    // By event time every source has a place, so that there is a plan.
    let by_event = PlanOptions { partition_by: PartitionBy::Event(Path::dotted("ts")), ..options.clone() };
    let Ok(plan) = plan::plan(from, selection, &by_event) else { return failure };
    hours_failure(&error, from, &plan)
}

/// That keys of `plan` do not tell their hour, with a path to partition by if its sources have one.
pub fn hours_failure(error: &PlanError, from: &dyn Storage, plan: &Plan) -> Failure {
    let failure = Failure::of(error);
    match peeks(from, plan).find_map(|peek| way(&peek)) {
        Some(way) => failure.with_hint(format!(
            "{way} files each record by its own time; or say how keys tell their hour with --key-pattern, such as \
             '{{yyyy}}/{{MM}}/{{dd}}/{{HH}}/'"
        )),
        None => failure,
    }
}

/// Refuses to make a table by a time that none of the first sources of `plan` has.
pub fn refuse_table_without(from: &dyn Storage, plan: &Plan, by: &PartitionBy) -> Result<(), Failure> {
    let Some((path, _)) = by.event() else { return Ok(()) };
    let (mut records, mut proposed) = (0, None);
    for peek in peeks(from, plan) {
        if peek.timed(by) > 0 {
            return Ok(());
        }
        records += peek.records();
        proposed = proposed.or_else(|| way(&peek));
    }
    if records == 0 {
        return Ok(());
    }
    let records = if records == 1 {
        "the first record has no".to_owned()
    } else {
        format!("none of the first {} records has a", count(records))
    };
    let message = format!("--partition-by {by}: {records} usable time at {path}");
    let allow = "--allow-missing-time takes them all the same, under year=0000";
    let hint = match proposed {
        Some(way) => format!("{way} would find one; {allow}"),
        None => format!("name the path of a time with --partition-by event:PATH; {allow}"),
    };
    Err(Failure::new(message).with_hint(hint))
}

/// The warning that rows were filed nowhere, if some were.
pub fn untimed(by: &PartitionBy, counts: &Counts) -> Option<Warning> {
    let (path, _) = by.event()?;
    let Counts { rows, untimed, zoneless, .. } = *counts;
    if untimed == 0 {
        return None;
    }
    let (have, are) = if untimed == 1 { ("has", "it is") } else { ("have", "they are") };
    let mut message = format!(
        "{} of {} {have} no usable time at {path}: {are} filed under year=0000",
        count(untimed),
        plural(rows, "row")
    );
    if zoneless > 0 {
        message.push_str(&format!("; {} for want of a zone alone", count(zoneless)));
    }
    let hint = (zoneless > 0).then_some(
        "--assume-utc reads times without a zone as UTC, and is chosen when a table is made: ingest into another table, \
         or `iotlake drop` this one first",
    );
    Some(Warning { message, hint })
}

/// The beginnings of the first sources that have records.
fn peeks<'a>(from: &'a dyn Storage, plan: &'a Plan) -> impl Iterator<Item = Peek> {
    plan.sources.iter().take(PEEKED_SOURCES).filter_map(move |source| peek(from, source))
}

/// The options that file most of these records by a time of their own.
fn way(peek: &Peek) -> Option<String> {
    let (by, _) = peek.ways().into_iter().next()?;
    Some(match by {
        PartitionBy::EventUtc(path) => format!("--partition-by {} --assume-utc", PartitionBy::Event(path)),
        by => format!("--partition-by {by}"),
    })
}

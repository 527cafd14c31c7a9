//! `iotlake report`: one page about a table, as a file, served on this machine, or its facts as JSON.
//!
//! In come a lake and a time; out goes a page that needs nothing else. What must stay true: a file that is there is never
//! overwritten unasked, and the lake is only read.

use std::time::{SystemTime, UNIX_EPOCH};

use iotlake::error::Hint;
use iotlake::lake::Lake;
use iotlake::report::{Facts, Liveness, Options, ReportError, gather, page};

use super::args::PageArgs;
use super::exit::{Exit, Failure, Outcome, print, warn};
use super::units::plural;
use super::{open_lake, serve, write_file};

/// Runs the command.
pub fn run(arguments: PageArgs) -> Outcome {
    if let Some(path) = arguments.output.as_deref().filter(|path| !arguments.force && path.is_file()) {
        return Err(Failure::usage(format!("--output {}: already exists", path.display()))
            .with_hint("choose another name, or overwrite it with --force"));
    }
    if let (Some(since), Some(until)) = (arguments.since, arguments.until)
        && since >= until
    {
        return Err(Failure::usage(format!("--until {until}: is not after --since {since}")));
    }
    let lake = open_lake(&arguments.lake)?;
    let table = table(&lake, arguments.table.as_deref())?;
    let look = || gather(&lake, &options(&arguments, &table)).map_err(failure);
    if arguments.serve {
        return serve::serve(&look);
    }
    let facts = look()?;
    if let Some(path) = &arguments.output {
        write_file("--output", path, page(&facts, Liveness::Still).as_bytes())?;
    }
    if arguments.print.json {
        print(&(facts.to_json() + "\n"))?;
    } else if let Some(path) = arguments.output.as_deref().filter(|_| !arguments.print.quiet) {
        print(&format!("{}: {}\n", path.display(), summary(&facts)))?;
    }
    for difference in &facts.accounts.differences {
        warn(&format!("accounts do not balance: {difference}"), Some("`iotlake audit` says more"));
    }
    for unread in &facts.unread {
        warn(unread, Some("`iotlake audit` lists them"));
    }
    Ok(Exit::Done)
}

/// The table that is meant: the one that was named, or the only one.
fn table(lake: &Lake, name: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let mut names = lake.catalog.tables()?;
    match names.len() {
        0 => Err(Failure::new("the lake has no tables yet")
            .with_hint("`iotlake backfill SRC --lake DIR` makes one")),
        1 => Ok(names.remove(0)),
        _ => Err(Failure::usage("--table is missing: the lake has more than one table")
            .with_hint(format!("there are {}", names.join(", ")))),
    }
}

fn options(arguments: &PageArgs, table: &str) -> Options {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Options {
        table: table.to_owned(),
        device: arguments.device.clone(),
        since: arguments.since,
        until: arguments.until,
        arguments: arguments.lake.to_string(),
        now: now.as_secs() as i64,
    }
}

/// `950 rows, 10 rejects, 40 devices in 2 days`.
fn summary(facts: &Facts) -> String {
    let hours = (facts.until - facts.since) as u64 / 3600;
    let time = if hours.is_multiple_of(24) { plural(hours / 24, "day") } else { plural(hours, "hour") };
    let rows = facts.hours.rows.iter().sum::<u64>() + facts.undated.rows;
    let devices = match facts.devices.column {
        Some(_) => format!(", {}", plural(facts.devices.count, "device")),
        None => String::new(),
    };
    format!("{}, {}{devices} in {time}", plural(rows, "row"), plural(facts.rejects.records, "reject"))
}

fn failure(error: ReportError) -> Failure {
    match error {
        ReportError::NoColumn { .. } => {
            let hint = error.hint().unwrap_or_default().to_owned();
            Failure::usage_of(&error, "--device").with_hint(hint)
        }
        ReportError::NoTable { .. } => {
            let hint = error.hint().unwrap_or_default().to_owned();
            Failure::usage_of(&error, "--table").with_hint(hint)
        }
        error => Failure::of(&error),
    }
}

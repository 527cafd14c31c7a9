//! `iotlake remove` and `iotlake drop`: sources, or a whole table, out of a lake.
//!
//! In comes the name of a source or a table; out goes what it holds, then, once somebody has agreed, what was removed. What
//! must stay true: nothing is removed that was not told or asked for before.

use std::path::Path;

use iotlake::catalog::check_name;
use iotlake::lake::Lake;
use iotlake::rebuild;
use iotlake::remove::{self, Leaving, Which};
use serde_json::json;

use super::args::{ConsentArgs, DropArgs, RemoveArgs, ReportArgs};
use super::exit::{Exit, Failure, Outcome, print, warn};
use super::open_lake;
use super::units::{bytes, count, plural};

/// How many sources are named in text; the JSON has all.
const NAMED_SOURCES: usize = 10;

/// Runs `iotlake remove`.
pub fn run(arguments: RemoveArgs) -> Outcome {
    let lake = open_lake(&arguments.lake)?;
    let source = name_of(&arguments.source);
    let tables = match &arguments.table {
        Some(table) => {
            check_name(table).map_err(|error| Failure::usage_of(&error, "--table"))?;
            vec![table.clone()]
        }
        None => tables(&lake)?,
    };
    let find = |table: &String| remove::find(&lake, table, Which::Source(&source));
    let mut found = tables.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    found.retain(|leaving| !leaving.is_empty());
    if found.is_empty() {
        return Err(Failure::new(format!("--source {source}: there is no such source in the lake")).with_hint(
            "names of sources stand in the column `_source`: iotlake query ... 'SELECT DISTINCT _source FROM events'",
        ));
    }
    let list: String = found.iter().map(|leaving| holds(leaving, &[])).collect();
    let mut busy = Vec::new();
    let is_agreed = arguments.consent.is_given(&list, "remove this?")?;
    if is_agreed {
        for leaving in &found {
            busy.extend(remove::remove(&lake, leaving)?);
        }
    }
    let json = found.iter().map(|leaving| as_json(leaving, &[])).collect();
    tell(&arguments.consent, &arguments.print, &list, json, is_agreed)?;
    Ok(end(&busy))
}

/// Runs `iotlake drop`.
pub fn drop(arguments: DropArgs) -> Outcome {
    let table = &arguments.table;
    let lake = open_lake(&arguments.lake)?;
    check_name(table).map_err(|error| Failure::usage_of(&error, "TABLE"))?;
    if lake.catalog.view(table)?.is_some() {
        return Err(Failure::usage(format!("{table} is a view; only tables are dropped"))
            .with_hint("a view goes with its table"));
    }
    let leaving = remove::find(&lake, table, Which::All)?;
    if leaving.is_empty() && leaving.withdrawn.is_empty() && lake.catalog.table(table)?.is_none() {
        let hint = match tables(&lake)?.as_slice() {
            [] => "the lake has no tables".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        return Err(Failure::new(format!("there is no table `{table}`")).with_hint(hint));
    }
    let views = remove::views(&lake, table)?;
    let list = holds(&leaving, &views);
    let is_agreed = arguments.consent.is_given(&list, &format!("remove table {table}?"))?;
    let busy = if is_agreed { remove::drop_table(&lake, &leaving)? } else { Vec::new() };
    tell(&arguments.consent, &arguments.print, &list, vec![as_json(&leaving, &views)], is_agreed)?;
    Ok(end(&busy))
}

/// Tables that the catalog has, or that have receipts.
fn tables(lake: &Lake) -> Result<Vec<String>, Failure> {
    let mut names = rebuild::tables(&*lake.storage)?;
    names.extend(lake.catalog.tables()?);
    Ok(names.into_iter().collect())
}

/// A path as `_source` has it, if it is one.
fn name_of(source: &str) -> String {
    if source.contains("://") {
        return source.to_owned();
    }
    let absolute = Path::new(source).canonicalize().or_else(|_| std::path::absolute(source));
    let path = absolute.map_or_else(|_| source.to_owned(), |path| path.to_string_lossy().into_owned());
    let is_folder = source.ends_with('/') && !path.ends_with('/');
    if is_folder { path + "/" } else { path }
}

/// What goes of a table, a line for the whole and one for each of the first sources.
fn holds(leaving: &Leaving, views: &[String]) -> String {
    let mut text = format!(
        "table {}: {}, {}, {}, {} of {}",
        leaving.table,
        plural(leaving.sources.len() as u64, "source"),
        plural(leaving.rows, "row"),
        plural(leaving.rejected, "reject"),
        plural(leaving.files.len() as u64, "file"),
        bytes(leaving.bytes()),
    );
    if !leaving.partitions.is_empty() {
        let partitions = plural(leaving.partitions.len() as u64, "compacted partition");
        text.push_str(&format!(", and their rows in {partitions}"));
    }
    if !views.is_empty() {
        text.push_str(&format!(", and the view {}", views.join(", ")));
    }
    text.push('\n');
    for source in leaving.sources.iter().take(NAMED_SOURCES) {
        text.push_str(&format!("  {source}\n"));
    }
    if leaving.sources.len() > NAMED_SOURCES {
        let more = (leaving.sources.len() - NAMED_SOURCES) as u64;
        text.push_str(&format!("  and {} more\n", count(more)));
    }
    text
}

fn as_json(leaving: &Leaving, views: &[String]) -> serde_json::Value {
    json!({
        "table": leaving.table,
        "sources": leaving.sources,
        "rows": leaving.rows,
        "rejected": leaving.rejected,
        "receipts": leaving.receipts,
        "files": leaving.files.keys().collect::<Vec<_>>(),
        "bytes": leaving.bytes(),
        "compacted": leaving.partitions,
        "views": views,
    })
}

fn tell(
    consent: &ConsentArgs,
    how: &ReportArgs,
    list: &str,
    tables: Vec<serde_json::Value>,
    is_agreed: bool,
) -> Result<(), Failure> {
    if how.quiet {
        return Ok(());
    }
    if how.json {
        let report = json!({ "removed": is_agreed, "tables": tables });
        return print(&format!("{report:#}\n"));
    }
    let end = match (consent.dry_run, is_agreed) {
        (true, _) => "would be removed",
        (_, true) => "removed",
        _ => "nothing was removed",
    };
    print(&format!("{list}{end}\n"))
}

fn end(busy: &[String]) -> Exit {
    for source in busy {
        let message = format!("{source}: a run is writing it; it was not removed");
        warn(&message, Some("stop that run, then run the same command again"));
    }
    if busy.is_empty() { Exit::Done } else { Exit::Failed }
}

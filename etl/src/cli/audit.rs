//! `iotlake audit`: whether a lake keeps the rules that its readers stand on.

use std::fmt::Write;

use iotlake::audit::{self, Audit, Depth, Drift, Partitions, Severity};
use iotlake::compact::{CompactOptions, Compactor};
use iotlake::lake::Lake;
use serde_json::json;

use super::args::AuditArgs;
use super::exit::{Exit, Failure, Outcome, print, warn};
use super::open_lake;
use super::units::{bytes, count, plural};

/// How many orphans are named in text; the JSON has all.
const NAMED_ORPHANS: usize = 10;

/// Runs the command. Findings are no error of the command, but its exit code tells of them.
pub fn run(arguments: AuditArgs) -> Outcome {
    let lake = open_lake(&arguments.lake)?;
    let depth = if arguments.bytes { Depth::Bytes } else { Depth::Footers };
    let audit = audit::audit(&*lake.storage, &*lake.catalog, depth)?;
    match (arguments.print.json, arguments.print.quiet) {
        (true, _) => print(&to_json(&audit))?,
        (_, true) => print(&findings(&audit))?,
        _ => print(&to_text(&audit))?,
    }
    if arguments.repair && !audit.generations.drift.is_empty() {
        repair(&lake, &audit.generations.drift)?;
        return Ok(Exit::Done);
    }
    Ok(if audit.is_clean() { Exit::Done } else { Exit::Failed })
}

/// Mends what can be; another audit tells whether that is all.
fn repair(lake: &Lake, drift: &[Drift]) -> Result<(), Failure> {
    let options = CompactOptions::new(std::env::temp_dir());
    let compactor = Compactor::new(lake, &options);
    for Drift { table, partition, sources } in drift {
        compactor.refresh(table, *partition, sources)?;
        compactor.partition(table, *partition)?;
        compactor.place(table, *partition)?;
        warn(&format!("repaired: {table} {partition}"), Some("audit again to see whether that is all"));
    }
    Ok(())
}

fn to_text(audit: &Audit) -> String {
    let mut text = String::new();
    write(&mut text, audit).expect("writing to a String cannot fail");
    text
}

/// What is wrong, and nothing else.
fn findings(audit: &Audit) -> String {
    let told = audit.findings.iter().map(|finding| {
        let severity = match finding.rule.severity() {
            Severity::Warning => "warning",
            _ => "error",
        };
        format!("{severity}: {finding}\n  hint: {}\n", finding.hint())
    });
    told.collect()
}

fn write(text: &mut String, audit: &Audit) -> std::fmt::Result {
    text.push_str(&findings(audit));
    for orphan in audit.orphans.iter().take(NAMED_ORPHANS) {
        writeln!(text, "orphan: {orphan}")?;
    }
    if audit.orphans.len() > NAMED_ORPHANS {
        writeln!(text, "orphan: and {} more (--json lists all)", audit.orphans.len() - NAMED_ORPHANS)?;
    }
    writeln!(
        text,
        "{}, {}, {}: {}, {} rejected",
        plural(audit.tables as u64, "table"),
        plural(audit.receipts as u64, "receipt"),
        plural(audit.files as u64, "file"),
        plural(audit.rows, "row"),
        count(audit.rejected)
    )?;
    if audit.generations.partitions > 0 {
        writeln!(text, "{}", compacted(&audit.generations))?;
    }
    if !audit.orphans.is_empty() {
        writeln!(
            text,
            "{} of sources that are not done: who reads by path sees some of their rows; the same ingest again \
             completes them, and `iotlake clean --unfinished` removes them",
            plural(audit.orphans.len() as u64, "file")
        )?;
    }
    if !audit.attempts.is_empty() {
        writeln!(
            text,
            "{} recorded of sources that are being written, or whose run broke off: the next backfill completes them",
            plural(audit.attempts.len() as u64, "attempt")
        )?;
    }
    if !audit.leftovers.is_empty() {
        writeln!(
            text,
            "{}, read by nobody; the next run, or `iotlake clean`, removes what is a day old",
            plural(audit.leftovers.len() as u64, "temporary file")
        )?;
    }
    match audit.findings.len() {
        0 => writeln!(text, "no findings"),
        findings => writeln!(text, "{}", plural(findings as u64, "finding")),
    }
}

fn compacted(generations: &Partitions) -> String {
    let Partitions { partitions, superseded, superseded_bytes, pending, stale, .. } = generations;
    let mut text = format!("{} compacted", plural(*partitions as u64, "partition"));
    let mut tell = |number: u64, noun: &str, what: &str| {
        if number > 0 {
            text.push_str(&format!("; {} {what}", plural(number, noun)));
        }
    };
    tell(
        *superseded as u64,
        "file",
        &format!("superseded and not removed yet, {}", bytes(*superseded_bytes)),
    );
    tell(*pending, "row", "not in a generation yet");
    tell(*stale, "row", "in generations of sources that were ingested anew or removed since");
    text
}

fn to_json(audit: &Audit) -> String {
    let findings = audit.findings.iter().map(|finding| {
        json!({
            "rule": finding.rule.code(),
            "severity": format!("{:?}", finding.rule.severity()).to_lowercase(),
            "place": finding.place,
            "message": finding.message,
            "hint": finding.hint(),
        })
    });
    let report = json!({
        "clean": audit.is_clean(),
        "findings": findings.collect::<Vec<_>>(),
        "tables": audit.tables,
        "receipts": audit.receipts,
        "files": audit.files,
        "rows": audit.rows,
        "rejected": audit.rejected,
        "generations": {
            "partitions": audit.generations.partitions,
            "superseded": audit.generations.superseded,
            "superseded_bytes": audit.generations.superseded_bytes,
            "pending": audit.generations.pending,
            "stale": audit.generations.stale,
        },
        "orphans": audit.orphans,
        "attempts": audit.attempts,
        "leftovers": audit.leftovers,
    });
    let mut text = serde_json::to_string_pretty(&report).expect("an audit is JSON");
    text.push('\n');
    text
}

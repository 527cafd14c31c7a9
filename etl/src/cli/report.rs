//! What a backfill did: as text for people, as JSON for machines, from the same numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use iotlake::backfill::Summary;
use iotlake::catalog::TableName;
use iotlake::contract;
use iotlake::location::Location;
use iotlake::partition::PartitionBy;
use iotlake::pipeline::Counts;
use iotlake::plan::Plan;
use iotlake_flatten::Contract;
use serde_json::{Value, json};

use super::args::IngestArgs;
use super::exit::Failure;
use super::units::{self, bytes, count, plural};
use super::{limits, times};

/// How many new columns are named in text; the JSON has all.
const NAMED_COLUMNS: usize = 12;

/// A backfill that has ended.
pub struct Report<'a> {
    pub from: &'a Location,
    pub settings: &'a IngestArgs,
    pub partition_by: &'a PartitionBy,
    pub contract: &'a Contract,
    pub plan: &'a Plan,
    pub summary: &'a Summary,
    pub new_columns: Vec<String>,
    pub seconds: f64,
}

/// Something to be told though nothing failed.
pub struct Warning {
    pub message: String,
    pub hint: Option<&'static str>,
}

/// `960 records = 950 rows + 10 rejected`.
pub fn balance(counts: &Counts) -> String {
    let of = |number: u64, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    format!("{} = {} + {} rejected", of(counts.records, "record"), of(counts.rows, "row"), counts.rejected)
}

/// `syntax 7, duplicate_key 3`.
pub fn reasons(rejects: &BTreeMap<&'static str, u64>) -> String {
    let mut reasons: Vec<_> = rejects.iter().collect();
    reasons.sort_by_key(|(reason, number)| (std::cmp::Reverse(**number), **reason));
    let reasons: Vec<_> = reasons.iter().map(|(reason, number)| format!("{reason} {number}")).collect();
    reasons.join(", ")
}

impl Report<'_> {
    /// What a person should know though nothing failed.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> {
        let damage =
            self.summary.warnings.iter().map(|message| Warning { message: message.clone(), hint: None });
        let file = self.settings.contract.as_deref().filter(|name| contract::builtin(name).is_none());
        let limits = limits::warnings(&self.settings.table, self.contract, file, self.summary);
        damage.chain(times::untimed(self.partition_by, &self.summary.counts)).chain(limits)
    }

    /// For people. What depends on time is on a line of its own.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("writing to a String cannot fail");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Report { settings, plan, summary, new_columns, seconds, .. } = self;
        let (table, lake) = (&settings.table, &settings.lake);
        let Summary { sources, done, already_done, failed, not_reached, counts, .. } = summary;
        if already_done == sources && *sources > 0 {
            let all = if *sources == 1 { "the source was" } else { "all sources were" };
            writeln!(text, "nothing to do: {all} ingested before")?;
        }
        let left = if *not_reached > 0 { format!(", {not_reached} not reached") } else { String::new() };
        writeln!(
            text,
            "{}   ({}: {done} done, {already_done} already done, {} failed{left})",
            balance(counts),
            plural(*sources, "source"),
            failed.len()
        )?;
        if *done > 0 {
            writeln!(
                text,
                "{} read, {} decoded, {} written in {}",
                bytes(counts.bytes_stored),
                bytes(counts.bytes_decoded),
                bytes(counts.bytes_out),
                plural(counts.files, "file")
            )?;
            writeln!(
                text,
                "{seconds:.2} s: {} rows/s, {}/s",
                count(units::rate(counts.rows, *seconds)),
                bytes(units::rate(counts.bytes_decoded, *seconds))
            )?;
        }
        if counts.rejected > 0 {
            writeln!(text, "rejected: {}", reasons(&summary.rejects_by_reason))?;
            writeln!(
                text,
                "  see them: iotlake query {lake} 'SELECT reason, line, _source FROM \"{}\"'",
                TableName::rejects(table)
            )?;
        }
        if counts.ignored > 0 {
            writeln!(text, "{} ignored, as the contract says", plural(counts.ignored, "value"))?;
        }
        if !summary.columns.refused.is_empty() || counts.overflowed > 0 {
            let refused = plural(summary.columns.refused.len() as u64, "column");
            let rows = plural(counts.overflowed, "row");
            writeln!(text, "no room: {refused}; fields in _overflow: {rows}")?;
        }
        if counts.untimed > 0 {
            writeln!(text, "filed under year=0000: {}", plural(counts.untimed, "row"))?;
        }
        if !new_columns.is_empty() {
            let shown = &new_columns[..new_columns.len().min(NAMED_COLUMNS)];
            let more = match new_columns.len() - shown.len() {
                0 => String::new(),
                more => format!(", and {more} more (iotlake schema {table} {lake})"),
            };
            writeln!(text, "new columns: {}{more}", shown.join(", "))?;
        }
        self.write_left_out(text, plan)?;
        if *not_reached > 0 {
            writeln!(text, "stopped: run the same command again for the rest")?;
        }
        Ok(())
    }

    fn write_left_out(&self, text: &mut String, plan: &Plan) -> std::fmt::Result {
        let reasons = [
            (plan.hidden, "file", "whose name or folder begins with `_` or `.`"),
            (plan.outside, "file", "outside of --since and --until"),
            (plan.links, "link", "to a file already included"),
        ];
        for (number, noun, reason) in reasons.into_iter().filter(|(number, ..)| *number > 0) {
            writeln!(text, "left out: {} {reason}", plural(number, noun))?;
        }
        Ok(())
    }

    /// For machines: all that the text says, and more of each account.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.to_value()).expect("a report is JSON");
        text.push('\n');
        text
    }

    /// The same as a value. Fields are only ever added.
    pub fn to_value(&self) -> Value {
        let Report { from, settings, plan, summary, new_columns, seconds, .. } = self;
        let counts = &summary.counts;
        let failed = summary.failed.iter().map(|(source_name, error)| {
            let mut entry = Failure::of(error).as_json();
            entry["source"] = json!(source_name);
            entry
        });
        json!({
            "table": settings.table,
            "lake": settings.lake.lake.to_string(),
            "catalog": settings.lake.catalog.to_string(),
            "from": from.to_string(),
            "sources": {
                "planned": summary.sources,
                "done": summary.done,
                "already_done": summary.already_done,
                "failed": summary.failed.len(),
                "not_reached": summary.not_reached,
                "hidden": plan.hidden,
                "outside": plan.outside,
                "links": plan.links,
            },
            "counts": counts,
            "rejects_by_reason": summary.rejects_by_reason,
            "rejects_table": TableName::rejects(&settings.table).to_string(),
            "new_columns": new_columns,
            "refused_columns": summary.columns.refused.iter().map(|identity| &identity.path).collect::<Vec<_>>(),
            "failures": failed.collect::<Vec<_>>(),
            "unrenewed": summary.unrenewed.iter().map(|unrenewed| {
                let mut entry = Failure::of(&unrenewed.error).as_json();
                entry["partition"] = json!(unrenewed.partition);
                entry
            }).collect::<Vec<_>>(),
            "warnings": self.warnings().map(|warning| warning.message).collect::<Vec<_>>(),
            "interrupted": summary.interrupted,
            "seconds": seconds,
            "rows_per_second": units::rate(counts.rows, *seconds),
            "decoded_bytes_per_second": units::rate(counts.bytes_decoded, *seconds),
        })
    }
}

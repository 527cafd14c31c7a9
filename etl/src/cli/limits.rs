//! What the bounds of a table and the words of its contract did to values: columns without room, rows with fields in
//! `_overflow`, declared columns without a value, declared paths that nothing can match.
//!
//! In comes a backfill that has ended; out come warnings. What must stay true: nothing is said where nothing is the
//! matter, and what is said names the columns.

use iotlake::backfill::Summary;
use iotlake::pipeline::Columns;
use iotlake_flatten::{Contract, Declared, Path, Type};

use super::report::Warning;
use super::units::{count, plural};

/// How many columns a warning names.
const NAMED: usize = 12;

/// What is to be told of `table`; `file` is the contract file that was asked for, if one was: those that are built in
/// declare more than any one device sends.
pub fn warnings(table: &str, contract: &Contract, file: Option<&str>, summary: &Summary) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let refused = &summary.columns.refused;
    if !refused.is_empty() {
        let more = if refused.len() < Columns::MAX_REFUSED { "" } else { " or more" };
        let message = format!(
            "table {table} has no room for {}{more}: {}; their values are kept as JSON, in the column of the object \
             above them or in `_overflow`",
            plural(refused.len() as u64, "column"),
            names(refused.iter().map(|identity| &identity.path))
        );
        let hint = "are keys data, such as ids or times? declare the object above them as `json` in a contract, and \
                    ingest into a new table; docs/contracts.md has the bounds";
        warnings.push(Warning { message, hint: Some(hint) });
    }
    let overflowed = summary.counts.overflowed;
    if overflowed > 0 {
        let (of, have) = (count(summary.counts.rows), if overflowed == 1 { "has" } else { "have" });
        let message = format!(
            "{} of {of} rows {have} fields in `_overflow`, as JSON, that have no column",
            count(overflowed)
        );
        warnings.push(Warning { message, hint: None });
    }
    if let Some(file) = file.filter(|_| summary.counts.rows > 0) {
        let empty = |declared: &&Declared| {
            declared.ty != Type::Ignore && !summary.columns.filled.contains(&declared.path)
        };
        let (unmatched, empty): (Vec<_>, Vec<_>) = contract
            .columns
            .iter()
            .filter(empty)
            .map(|declared| &declared.path)
            .partition(|path| leads_into_array(path));
        if !unmatched.is_empty() {
            let message = format!(
                "--contract {file}: {} cannot match: an array is one value, and no path leads into it",
                names(unmatched.into_iter())
            );
            let hint = "declare the array itself as `json`; docs/arrays.md shows how SQL takes it apart";
            warnings.push(Warning { message, hint: Some(hint) });
        }
        if !empty.is_empty() {
            let message = format!(
                "--contract {file}: no record of this run has a value for {}",
                names(empty.into_iter())
            );
            warnings
                .push(Warning { message, hint: Some("paths are case-sensitive, and begin at the record") });
        }
    }
    warnings
}

/// Whether a key of the path is written as if it chose an element: `a[0]`, `a[*]`, `a[]`.
fn leads_into_array(path: &Path) -> bool {
    path.keys().any(|key| {
        let index = key.strip_suffix(']').and_then(|key| key.rsplit_once('[')).map(|(_, index)| index);
        index.is_some_and(|index| index == "*" || index.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn names<'a>(paths: impl Iterator<Item = &'a Path>) -> String {
    let paths: Vec<String> = paths.map(Path::to_string).collect();
    let shown = paths[..paths.len().min(NAMED)].join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown}, and {} more", count(more as u64)),
    }
}

//! `iotlake clean`: takes away files that the receipt of their source does not name, and old temporary files.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use iotlake::clean::{self, Found, Stale};
use serde_json::json;

use super::args::CleanArgs;
use super::exit::{Exit, Failure, Outcome, print};
use super::open_lake;
use super::units::plural;

/// How old a file of a source without a receipt has to be: no run takes as long between two effects.
const UNFINISHED: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the command.
pub fn run(arguments: CleanArgs) -> Outcome {
    let lake = open_lake(&arguments.lake)?;
    let before = arguments.unfinished.then(|| SystemTime::now() - UNFINISHED);
    let found = clean::find(&lake, before)?;
    let wants = match found.stale.is_empty() {
        true => !arguments.consent.dry_run,
        false => is_agreed(&arguments, &found)?,
    };
    let (mut removed, mut temporary) = (Vec::new(), Vec::new());
    if wants {
        removed.extend(clean::remove(&lake, &found.stale)?.iter().map(|file| file.key.as_str()));
        temporary = clean::sweep(&*lake.storage)?;
    }
    match (arguments.print.json, arguments.print.quiet) {
        (true, _) => print(&to_json(&found, &removed, &temporary))?,
        (_, true) => {}
        _ => print(&to_text(&arguments, &found, &removed, &temporary))?,
    }
    Ok(Exit::Done)
}

/// Whether to remove what was found.
fn is_agreed(arguments: &CleanArgs, found: &Found) -> Result<bool, Failure> {
    let mut text = String::new();
    for file in &found.stale {
        let _ = writeln!(text, "stale: {} of {}{}", file.key, file.source, unfinished(file));
    }
    arguments.consent.is_given(&text, &format!("remove {}?", plural(found.stale.len() as u64, "file")))
}

fn unfinished(file: &Stale) -> &'static str {
    if file.is_done { "" } else { ", which is not done" }
}

fn to_text(arguments: &CleanArgs, found: &Found, removed: &[&str], temporary: &[String]) -> String {
    let mut text = String::new();
    for key in removed.iter().copied().chain(temporary.iter().map(String::as_str)) {
        let _ = writeln!(text, "removed: {key}");
    }
    if arguments.consent.dry_run {
        for file in &found.stale {
            let _ = writeln!(text, "would remove: {} of {}{}", file.key, file.source, unfinished(file));
        }
    }
    for (key, reason) in &found.left {
        let _ = writeln!(text, "left: {key}: {reason}");
    }
    let _ = match (arguments.consent.dry_run, found.stale.len(), removed.len() + temporary.len()) {
        (true, stale, _) => writeln!(text, "{} would be removed", plural(stale as u64, "file")),
        (_, 0, 0) => writeln!(text, "nothing to remove"),
        (_, _, removed) => writeln!(text, "{} removed", plural(removed as u64, "file")),
    };
    text
}

fn to_json(found: &Found, removed: &[&str], temporary: &[String]) -> String {
    let stale = found.stale.iter().map(
        |file| json!({ "key": file.key, "table": file.table, "source": file.source, "bytes": file.bytes, "is_done": file.is_done }),
    );
    let left = found.left.iter().map(|(key, reason)| json!({ "key": key, "reason": reason }));
    let report = json!({
        "stale": stale.collect::<Vec<_>>(),
        "left": left.collect::<Vec<_>>(),
        "removed": removed,
        "temporary": temporary,
    });
    let mut text = serde_json::to_string_pretty(&report).expect("the report is JSON");
    text.push('\n');
    text
}

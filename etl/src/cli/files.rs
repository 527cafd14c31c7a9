//! `iotlake files`: the files of a table, one a line, or as JSON.

use iotlake::query::{Session, TableFile};
use serde_json::json;

use super::args::FilesArgs;
use super::exit::{Exit, Outcome, print, warn};
use super::open_lake;
use super::query::failure;

/// Runs the command.
pub fn run(arguments: FilesArgs) -> Outcome {
    let lake = open_lake(&arguments.lake)?;
    let session = Session::open(&lake).map_err(failure)?;
    let files = session.files(&arguments.table, arguments.condition.as_deref()).map_err(failure)?;
    print(&match arguments.print.json {
        true => to_json(&arguments.table, &files),
        false => files.iter().map(|file| format!("{}\n", file.uri)).collect(),
    })?;
    for unread in session.unread().iter().filter(|_| !arguments.print.quiet) {
        warn(&unread.message, Some(unread.hint));
    }
    Ok(Exit::Done)
}

fn to_json(table: &str, files: &[TableFile]) -> String {
    let files = files.iter().map(|TableFile { uri, bytes, partition, .. }| {
        let [year, month, day, hour] = partition.values();
        json!({ "file": uri, "bytes": bytes, "year": year, "month": month, "day": day, "hour": hour })
    });
    let list = json!({ "table": table, "files": files.collect::<Vec<_>>() });
    format!("{list:#}\n")
}

//! `iotlake tables`: what a lake can be asked about, as text or JSON.

use std::fmt::Write;

use iotlake::query::{Session, TableKind};
use serde_json::json;

use super::args::{LakeArgs, TablesArgs};
use super::exit::{Exit, Outcome, print};
use super::open_lake;
use super::query::failure;
use super::units::plural;

/// Runs the command.
pub fn run(arguments: TablesArgs) -> Outcome {
    let lake = open_lake(&arguments.lake)?;
    let session = Session::open(&lake).map_err(failure)?;
    let mut text = match arguments.print.json {
        true => to_json(&session),
        false => to_text(&session),
    };
    if !arguments.print.json && !arguments.print.quiet {
        text.push_str(&remark(&session, &arguments.lake));
    }
    print(&text)?;
    Ok(Exit::Done)
}

/// One table, table of rejects or view a line.
pub(super) fn to_text(session: &Session) -> String {
    let tables = session.tables();
    let width = tables.iter().map(|table| table.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for table in tables {
        let columns = plural(table.columns.len() as u64, "column");
        writeln!(text, "{:<width$}  {:<7}  {columns}", table.name, word(table.kind))
            .expect("a String takes all");
    }
    text
}

/// What to do next.
pub(super) fn remark(session: &Session, lake: &LakeArgs) -> String {
    match session.tables().first() {
        None => "no tables yet: `iotlake backfill SRC --lake DIR` makes one\n".to_owned(),
        Some(table) => {
            let name = &table.name;
            let example = format!("iotlake query {lake} 'SELECT * FROM \"{name}\" LIMIT 10'");
            format!("\nnames with dots go in double quotes: {example}\n")
        }
    }
}

fn to_json(session: &Session) -> String {
    let tables = session
        .tables()
        .iter()
        .map(|table| json!({ "name": table.name, "kind": word(table.kind), "columns": table.columns.len() }));
    format!("{:#}\n", json!({ "tables": tables.collect::<Vec<_>>() }))
}

fn word(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Data => "table",
        TableKind::Rejects => "rejects",
        TableKind::View => "view",
    }
}

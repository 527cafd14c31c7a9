//! `iotlake catalog rebuild`: tables, columns, partitions and views made again from files and receipts.

use std::fmt::Write;

use iotlake::catalog::Side;
use iotlake::lake::Lake;
use iotlake::location::{LazyAws, Location};
use iotlake::rebuild::{self, Rebuilt};
use iotlake::view::rigado_view;
use serde_json::{Value, json};

use super::args::{LakeArgs, RebuildArgs};
use super::exit::{Exit, Failure, Outcome, print};
use super::units::plural;
use super::{check_lake, open_failure, read_contract};

/// Runs the command.
pub fn rebuild(arguments: RebuildArgs) -> Outcome {
    let RebuildArgs {
        lake: LakeArgs { lake: location, catalog },
        create_database,
        table,
        contract,
        dry_run,
        ..
    } = &arguments;
    check_lake(&arguments.lake)?;
    let chosen = read_contract(contract)?;
    if matches!(location, Location::Local(path) if !path.exists()) {
        return Err(Failure::new(format!("--lake {location}: no such folder"))
            .with_hint("the catalog is made from the files and receipts of a lake"));
    }
    let lake =
        Lake::create(location, catalog, *create_database, &LazyAws::default()).map_err(open_failure)?;
    let names = match table {
        Some(name) => [name.clone()].into(),
        None => rebuild::tables(&*lake.storage)?,
    };
    if names.is_empty() {
        return Err(Failure::new("the lake has no receipts, so that there is nothing to make tables of"));
    }
    // First all of them, so that one that fails leaves nothing half made.
    let read = |name: &String| rebuild::read(&lake.storage, name, &chosen.contract, &arguments.key_pattern);
    let rebuilt = names.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut made_tables = Vec::new();
    for table in &rebuilt {
        let mut is_new = true;
        let view = (chosen.name == "rigado").then(|| rigado_view(&table.table.name));
        if !dry_run {
            is_new = rebuild::write(&*lake.catalog, table)?;
            if let Some(view) = &view {
                lake.catalog.put_view(view)?;
            }
        }
        let made = match (dry_run, is_new) {
            (true, _) => "would be made",
            (false, true) => "made",
            (false, false) => "completed",
        };
        let view = view.map(|view| view.name);
        match (arguments.print.json, arguments.print.quiet) {
            (true, _) => made_tables.push(to_json(table, &chosen.name, made, view)),
            (_, true) => {}
            _ => print(&to_text(table, &chosen.name, made, view))?,
        }
    }
    if arguments.print.json {
        print(&format!("{:#}\n", json!({ "tables": made_tables })))?;
    }
    Ok(Exit::Done)
}

fn to_json(rebuilt: &Rebuilt, contract: &str, made: &str, view: Option<String>) -> Value {
    let Rebuilt { table, files, receipts, unfilled, guessed, .. } = rebuilt;
    json!({
        "table": table.name,
        "made": made,
        "columns": table.schema.columns().len(),
        "partitions": rebuilt.partitions(Side::Rows),
        "partitions_of_rejects": rebuilt.partitions(Side::Rejects),
        "files": files,
        "receipts": receipts,
        "view": view,
        "contract": contract,
        "unfilled_columns": unfilled,
        "guessed_pairs": guessed,
    })
}

fn to_text(rebuilt: &Rebuilt, contract: &str, made: &str, view: Option<String>) -> String {
    let Rebuilt { table, files, receipts, unfilled, guessed, .. } = rebuilt;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "table {}, {}: {}, {} and {} of rejects, by {} and {}",
        table.name,
        made,
        plural(table.schema.columns().len() as u64, "column"),
        plural(rebuilt.partitions(Side::Rows) as u64, "partition"),
        rebuilt.partitions(Side::Rejects),
        plural(*files as u64, "file"),
        plural(*receipts as u64, "receipt"),
    );
    if let Some(view) = view {
        let _ = writeln!(text, "view {view}, {made}");
    }
    let _ =
        writeln!(text, "taken from the contract `{contract}`, since no file says it: numbers, part_bytes");
    if !unfilled.is_empty() {
        let _ = writeln!(text, "  and columns that no record has filled: {}", unfilled.join(", "));
    }
    if *guessed > 0 {
        let _ = writeln!(
            text,
            "{} of neighbouring columns stand together in no file: their order is the one that a single backfill gives",
            plural(*guessed as u64, "pair")
        );
    }
    text
}

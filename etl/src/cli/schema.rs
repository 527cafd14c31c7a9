//! `iotlake schema`: the contract of a table, as a person reads it, as TOML to start from, or as JSON.

use std::fmt::Write;

use iotlake::catalog::{CatalogError, REJECTS_SUFFIX, Table};
use iotlake::contract::table_to_toml;
use iotlake::lake::Lake;
use iotlake_flatten::naming::{OVERFLOW, PARTITION_KEYS, RECORD, SOURCE};
use iotlake_flatten::{Numbers, Path, TableColumn, Type};
use serde_json::json;

use super::args::SchemaArgs;
use super::exit::{Exit, Failure, Outcome, print};
use super::{open_lake, units};

/// Runs the command.
pub fn run(arguments: SchemaArgs) -> Outcome {
    let lake = open_lake(&arguments.lake)?;
    let table = table(&lake, arguments.table)?;
    let text = match (arguments.as_contract, arguments.json) {
        (true, _) => table_to_toml(&table.schema),
        (_, true) => to_json(&table),
        _ => to_text(&lake, &table)?,
    };
    print(&text)?;
    Ok(Exit::Done)
}

fn table(lake: &Lake, name: Option<String>) -> Result<Table, Failure> {
    let names = lake.catalog.tables()?;
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only.clone(),
        (None, []) => {
            return Err(Failure::new("the lake has no tables yet")
                .with_hint("`iotlake backfill SRC --lake DIR` makes one"));
        }
        (None, _) => {
            return Err(Failure::usage("TABLE is missing: the lake has more than one")
                .with_hint(format!("there are {}", names.join(", "))));
        }
    };
    match lake.catalog.table(&name)? {
        Some(table) => Ok(table),
        None => {
            let failure = Failure::from(CatalogError::NoTable { name });
            Err(if names.is_empty() {
                failure
            } else {
                failure.with_hint(format!("there are {}", names.join(", ")))
            })
        }
    }
}

fn to_text(lake: &Lake, table: &Table) -> Result<String, Failure> {
    let contract = table.schema.contract();
    let numbers = numbers(table);
    let mut text = format!(
        "table {}: {}, partitioned by {}\nnumbers = {numbers}, parts of {} MiB, layout {}\n\n",
        table.name,
        units::plural(table.schema.columns().len() as u64, "column"),
        table.partition_by,
        contract.part_bytes >> 20,
        table.layout
    );
    let mut rows = vec![["column", "type", "path", "from"].map(str::to_owned)];
    let engine = |name: &str, ty: &str, from: &str| [name, ty, "", from].map(str::to_owned);
    rows.push(engine(SOURCE, "string", "the source of the row"));
    rows.push(engine(RECORD, "bigint", "its record in the source, from 1"));
    rows.push(engine(OVERFLOW, "string", "fields without a column, as JSON"));
    for column in table.schema.columns() {
        let (path, from) = (shown(&column.identity.path), from(table, column));
        let kind = column.identity.kind;
        let ty = if kind.word() == "json" { "string (json)".to_owned() } else { kind.hive_type().to_owned() };
        rows.push([column.name.clone(), ty, path, from]);
    }
    for key in PARTITION_KEYS {
        rows.push(engine(key, "string", "partition key"));
    }
    write_aligned(&mut text, &rows);
    let ignored: Vec<_> = contract
        .columns
        .iter()
        .filter(|declared| declared.ty == Type::Ignore)
        .map(|d| shown(&d.path))
        .collect();
    if !ignored.is_empty() {
        text.push_str(&format!("\nignored: {}\n", ignored.join(", ")));
    }
    let views = lake.catalog.views()?;
    let views: Vec<_> =
        views.iter().filter(|view| view.table == table.name).map(|view| &*view.name).collect();
    text.push_str(&format!("\nrejects: {}{REJECTS_SUFFIX}\n", table.name));
    if !views.is_empty() {
        text.push_str(&format!("views: {}\n", views.join(", ")));
    }
    Ok(text)
}

fn write_aligned(text: &mut String, rows: &[[String; 4]]) {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for [name, ty, path, from] in rows {
        let [a, b, c] = widths;
        let line = format!("{name:<a$}  {ty:<b$}  {path:<c$}  {from}");
        writeln!(text, "{}", line.trim_end()).expect("a String takes all");
    }
}

/// With dots where that is unambiguous, else as the list of keys.
fn shown(path: &Path) -> String {
    let is_plain = path
        .keys()
        .all(|key| !key.is_empty() && !key.contains(['.', ' ']) && !key.contains(char::is_control));
    if is_plain { path.to_string() } else { path.to_json() }
}

fn from(table: &Table, column: &TableColumn) -> String {
    let declared =
        table.schema.contract().columns.iter().find(|declared| declared.path == column.identity.path);
    match declared {
        Some(declared) if declared.identities().any(|identity| identity == column.identity) => {
            match declared.ty.kind() == Some(column.identity.kind) {
                true => format!("declared {}", declared.ty),
                false => format!("declared beside {}", declared.ty),
            }
        }
        Some(declared) => format!("discovered beside declared {}", declared.ty),
        None => "discovered".to_owned(),
    }
}

fn numbers(table: &Table) -> &'static str {
    match table.schema.contract().numbers {
        Numbers::Double => "double",
        Numbers::Exact => "exact",
    }
}

fn to_json(table: &Table) -> String {
    let contract = table.schema.contract();
    let columns = table.schema.columns().iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.identity.kind.hive_type(),
            "path": column.identity.path,
            "kind": column.identity.kind,
            "declared": !from(table, column).starts_with("discovered"),
        })
    });
    let ignored = contract.columns.iter().filter(|declared| declared.ty == Type::Ignore);
    let report = json!({
        "table": table.name,
        "partition_by": table.partition_by,
        "partition_keys": PARTITION_KEYS,
        "numbers": numbers(table),
        "part_bytes": contract.part_bytes,
        "layout": table.layout,
        "columns": columns.collect::<Vec<_>>(),
        "ignored": ignored.map(|declared| &declared.path).collect::<Vec<_>>(),
        "rejects": format!("{}{REJECTS_SUFFIX}", table.name),
    });
    let mut text = serde_json::to_string_pretty(&report).expect("a schema is JSON");
    text.push('\n');
    text
}

//! `iotlake schema`: the contract of a table, as a person reads it, as TOML to start from, or as JSON; or a view's columns
//! and its SQL.

use std::fmt::Write;

use iotlake::catalog::{CatalogError, Side, Table, TableName};
use iotlake::contract::table_to_toml;
use iotlake::lake::Lake;
use iotlake::view::{Expression, View};
use iotlake_flatten::layout::{ENGINE, PARTITION_KEYS, REJECTS};
use iotlake_flatten::{ColumnType, Numbers, Path, TableColumn, Type};
use serde_json::json;

use super::args::SchemaArgs;
use super::exit::{Exit, Failure, Outcome, print};
use super::{open_lake, units};

/// What a name stands for.
enum Named {
    Table(Table),
    View(View, Table),
    /// The table whose rejects it holds.
    Rejects(Table),
}

/// Runs the command.
pub fn run(arguments: SchemaArgs) -> Outcome {
    let lake = open_lake(&arguments.lake)?;
    let asked = (arguments.as_contract, arguments.print.json, arguments.sql);
    if asked == (false, false, false) {
        print(&describe(&lake, arguments.table)?)?;
        return Ok(Exit::Done);
    }
    let text = match named(&lake, arguments.table)? {
        Named::Table(table) => match asked {
            (true, ..) => table_to_toml(&table.schema),
            (_, true, _) => to_json(&table),
            _ => return Err(only_for(&table.name, "--sql", "a table", "a view")),
        },
        Named::View(view, table) => match asked {
            (true, ..) => return Err(only_for(&view.name, "--as-contract", "a view", "a table")),
            (_, true, _) => view_to_json(&view, &table),
            _ => view.to_sql(&table.schema) + "\n",
        },
        Named::Rejects(table) => {
            let name = TableName::rejects(&table.name).to_string();
            match asked {
                (true, ..) => return Err(only_for(&name, "--as-contract", "a table of rejects", "a table")),
                (_, true, _) => rejects_to_json(&name, &table),
                _ => return Err(only_for(&name, "--sql", "a table of rejects", "a view")),
            }
        }
    };
    print(&text)?;
    Ok(Exit::Done)
}

/// What has this name, as a person reads it; without one, the only table of the lake.
pub fn describe(lake: &Lake, name: Option<String>) -> Result<String, Failure> {
    match named(lake, name)? {
        Named::Table(table) => to_text(lake, &table),
        Named::View(view, table) => Ok(view_to_text(&view, &table)),
        Named::Rejects(table) => Ok(rejects_to_text(&TableName::rejects(&table.name).to_string(), &table)),
    }
}

fn only_for(name: &str, flag: &str, is: &str, needs: &str) -> Failure {
    Failure::usage(format!("{flag} is for {needs}; {name} is {is}"))
        .with_hint("`iotlake tables` lists tables and views")
}

fn named(lake: &Lake, name: Option<String>) -> Result<Named, Failure> {
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
    if let Some(table) = lake.catalog.table(&name)? {
        return Ok(Named::Table(table));
    }
    if let Some(view) = lake.catalog.view(&name)? {
        let table = lake.catalog.table(&view.table)?;
        let table = table.ok_or_else(|| CatalogError::NoTable { name: view.table.clone() })?;
        return Ok(Named::View(view, table));
    }
    let TableName { name: of, side } = TableName::parse(&name);
    if side == Side::Rejects
        && let Some(table) = lake.catalog.table(&of)?
    {
        return Ok(Named::Rejects(table));
    }
    let failure = Failure::from(CatalogError::NoTable { name });
    Err(if names.is_empty() { failure } else { failure.with_hint(format!("there are {}", names.join(", "))) })
}

fn to_text(lake: &Lake, table: &Table) -> Result<String, Failure> {
    let contract = table.schema.contract();
    let numbers = numbers(table);
    let sort = match contract.sort.is_empty() {
        true => String::new(),
        false => format!(", sorted by {}", contract.sort.iter().map(shown).collect::<Vec<_>>().join(", ")),
    };
    let mut text = format!(
        "table {}: {}, partitioned by {}\nnumbers = {numbers}, parts of {} MiB, layout {}{sort}\n\n",
        table.name,
        units::plural(table.schema.columns().len() as u64, "column"),
        table.partition_by,
        contract.part_bytes >> 20,
        table.layout
    );
    let mut rows = vec![["column", "type", "path", "from"].map(str::to_owned)];
    let engine = |name: &str, ty: &str, from: &str| [name, ty, "", from].map(str::to_owned);
    rows.extend(ENGINE.iter().map(|column| engine(column.name, column.ty.hive(), column.about)));
    for column in table.schema.columns() {
        let (path, from) = (shown(&column.identity.path), from(table, column));
        let kind = column.identity.kind;
        let ty = if kind.word() == "json" {
            "string (json)".to_owned()
        } else {
            ColumnType::from(kind).hive().to_owned()
        };
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
    text.push_str(&format!("\nrejects: {}\n", TableName::rejects(&table.name)));
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
            "type": ColumnType::from(column.identity.kind).hive(),
            "path": column.identity.path,
            "kind": column.identity.kind,
            "declared": !from(table, column).starts_with("discovered"),
        })
    });
    let ignored = contract.columns.iter().filter(|declared| declared.ty == Type::Ignore);
    pretty(&json!({
        "table": table.name,
        "partition_by": table.partition_by,
        "partition_keys": PARTITION_KEYS,
        "numbers": numbers(table),
        "part_bytes": contract.part_bytes,
        "sort": contract.sort,
        "layout": table.layout,
        "columns": columns.collect::<Vec<_>>(),
        "ignored": ignored.map(|declared| &declared.path).collect::<Vec<_>>(),
        "rejects": TableName::rejects(&table.name).to_string(),
    }))
}

fn rejects_to_text(name: &str, table: &Table) -> String {
    let mut text = format!(
        "table {name}: {}, the rejects of {}\n\n",
        units::plural(REJECTS.len() as u64, "column"),
        table.name
    );
    let mut rows = vec![["column", "type", "", "from"].map(str::to_owned)];
    let row = |name: &str, ty: &str, from: &str| [name, ty, "", from].map(str::to_owned);
    rows.extend(REJECTS.iter().map(|column| row(column.name, column.ty.hive(), column.about)));
    rows.extend(PARTITION_KEYS.iter().map(|key| row(key, "string", "partition key")));
    write_aligned(&mut text, &rows);
    text
}

fn rejects_to_json(name: &str, table: &Table) -> String {
    let columns = REJECTS
        .iter()
        .map(|column| json!({ "name": column.name, "type": column.ty.hive(), "about": column.about }));
    pretty(&json!({
        "table": name,
        "rejects_of": table.name,
        "partition_keys": PARTITION_KEYS,
        "columns": columns.collect::<Vec<_>>(),
    }))
}

fn view_to_text(view: &View, table: &Table) -> String {
    let columns = units::plural(view.columns.len() as u64, "column");
    let mut text = format!("view {}: {columns}, on table {}\n\n", view.name, view.table);
    let mut rows = vec![["column", "type", "path", "from"].map(str::to_owned)];
    for column in &view.columns {
        let (path, mut from) = match &column.from {
            Expression::Column(identity) => (shown(&identity.path), identity.kind.word().to_owned()),
            Expression::Whole(identity) => (shown(&identity.path), "where it is whole".to_owned()),
            Expression::Fraction(identity) => (shown(&identity.path), "where it is not whole".to_owned()),
            Expression::Partition(key) => (String::new(), format!("partition key {key}")),
            Expression::Text(text) => (String::new(), format!("always '{text}'")),
            Expression::Null => (String::new(), "always NULL".to_owned()),
        };
        if let Expression::Column(identity) | Expression::Whole(identity) | Expression::Fraction(identity) =
            &column.from
            && table.schema.column(identity).is_none()
        {
            from.push_str("; NULL until the table has it");
        }
        rows.push([column.name.clone(), column.ty.hive_type().to_owned(), path, from]);
    }
    write_aligned(&mut text, &rows);
    text
}

fn view_to_json(view: &View, table: &Table) -> String {
    let columns =
        view.columns.iter().map(|column| json!({ "name": column.name, "type": column.ty.hive_type() }));
    pretty(&json!({
        "view": view.name,
        "table": view.table,
        "columns": columns.collect::<Vec<_>>(),
        "sql": view.to_sql(&table.schema),
    }))
}

fn pretty(report: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a schema is JSON");
    text.push('\n');
    text
}

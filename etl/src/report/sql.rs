//! What queries of a report have in common: names, text, and the time of a row.
//!
//! What must stay true: every name and every text is quoted here, whoever brought it; the unit of a time is told as
//! everywhere, by its magnitude ([`iotlake_flatten::time`]).

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use iotlake_flatten::layout::ColumnType;
use iotlake_flatten::{Identity, Kind, Path, TableColumn};

use super::window::Window;
use crate::catalog::Table;

/// A name in double quotes.
pub(super) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The columns that tell the time of a row, one for each type that it came in: of the path that files it, else of `ts`.
fn time_columns(table: &Table) -> Vec<&TableColumn> {
    let ts = Path::dotted("ts");
    // Text last: a number needs no parser.
    let kinds = [Kind::Timestamp, Kind::Long, Kind::Double, Kind::String];
    for path in table.partition_by.event().map(|(path, _)| path).into_iter().chain([&ts]) {
        let of = |kind| table.schema.column(&Identity::new(path.clone(), kind));
        let columns: Vec<_> = kinds.into_iter().filter_map(of).collect();
        if !columns.is_empty() {
            return columns;
        }
    }
    Vec::new()
}

/// The time of a row in milliseconds since 1970: what its columns say where that is in the window, else when the hour begins
/// that the row is filed under.
pub(super) fn time(table: &Table, window: Window) -> String {
    let hour = "CAST(CAST(year || '-' || month || '-' || day || 'T' || hour || ':00:00Z' AS TIMESTAMP) AS BIGINT) / 1000000";
    let told: Vec<String> = time_columns(table).into_iter().map(millis).collect();
    let told = match told.as_slice() {
        [] => return hour.to_owned(),
        [one] => one.clone(),
        several => format!("coalesce({})", several.join(", ")),
    };
    let (since, until) = (window.since * 1000, window.until * 1000);
    format!("CASE WHEN {told} >= {since} AND {told} < {until} THEN {told} ELSE {hour} END")
}

/// What one column tells, in milliseconds since 1970; NULL where it is no time.
fn millis(column: &TableColumn) -> String {
    let c = name(&column.name);
    match column.identity.kind {
        Kind::Timestamp => format!("CAST({c} AS BIGINT) / 1000"),
        Kind::String | Kind::Json | Kind::Boolean => {
            format!("CAST(TRY_CAST({c} AS TIMESTAMP) AS BIGINT) / 1000000")
        }
        // Not by abs(), which fails for the least integer.
        Kind::Long | Kind::Double => {
            let below = |power| format!("{c} > -1e{power} AND {c} < 1e{power}");
            let (seconds, millis, micros) = (below(11), below(14), below(17));
            format!(
                "CAST(CASE WHEN {seconds} THEN {c} * 1000 WHEN {millis} THEN {c} WHEN {micros} THEN {c} / 1000 END \
                 AS BIGINT)"
            )
        }
    }
}

/// The name of the column of this path and kind.
pub(super) fn column<'a>(table: &'a Table, path: &str, kind: Kind) -> Option<&'a str> {
    let found = table.schema.column(&Identity::new(Path::dotted(path), kind));
    found.map(|column| column.name.as_str())
}

/// The type of a column, in the words of Athena.
pub(super) fn type_of(column: &TableColumn) -> String {
    let ty = ColumnType::from(column.identity.kind).hive();
    if column.identity.kind == Kind::Json { format!("{ty} (json)") } else { ty.to_owned() }
}

/// The integer in a row of a column of integers.
pub(super) fn long(batch: &RecordBatch, column: usize, row: usize) -> Option<i64> {
    let column = batch.column(column);
    column.is_valid(row).then(|| column.as_primitive::<Int64Type>().value(row))
}

/// The number in a row of a column of doubles, if it is finite.
pub(super) fn double(batch: &RecordBatch, column: usize, row: usize) -> Option<f64> {
    let column = batch.column(column);
    let value = column.is_valid(row).then(|| column.as_primitive::<Float64Type>().value(row));
    value.filter(|value| value.is_finite())
}

/// The text in a row of a column of text.
pub(super) fn string(batch: &RecordBatch, column: usize, row: usize) -> Option<&str> {
    let column = batch.column(column);
    if !column.is_valid(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row),
        _ => column.as_string::<i32>().value(row),
    })
}

/// One hour, as a condition on the partition keys.
pub(super) fn is_hour(values: &[String; 4]) -> String {
    let keys = ["year", "month", "day", "hour"];
    let conditions: Vec<_> =
        keys.iter().zip(values).map(|(key, value)| format!("{key} = {}", text(value))).collect();
    conditions.join(" AND ")
}

/// Seconds of milliseconds, rounded down.
pub(super) fn seconds(milliseconds: i64) -> i64 {
    milliseconds.div_euclid(1000)
}

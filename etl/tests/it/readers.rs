//! What other readers see in a lake is what `iotlake query` sees.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use iotlake::catalog::TableName;
use iotlake::compact::{CompactOptions, Compactor};
use iotlake::query::{Answer, Session};
use iotlake_flatten::{Contract, Type};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;

use crate::lake::Lake;
use crate::support;

/// Rows in the form that `read_lake.py` explains.
type Row = BTreeMap<String, (String, String)>;

/// What a script of `readers/` prints about a table.
fn script(name: &str, root: &Path, arguments: &[&str]) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = workspace.join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make venv`", python.display());
    let script = workspace.join("etl/tests/readers").join(name);
    let output = Command::new(python).arg(script).arg(root).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a table as DuckDB, Polars and PyArrow all see them.
fn read_by_others(root: &Path, table: &str) -> Vec<Row> {
    let rows = script("read_lake.py", root, &[table, "--dump"]);
    rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of an answer in the same form.
fn rows(answer: &Answer) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            let fields = batch.schema_ref().fields().iter().zip(batch.columns());
            let values = fields.filter(|(_, column)| column.is_valid(row));
            rows.push(values.map(|(field, column)| (field.name().clone(), value(column, row))).collect());
        }
    }
    rows
}

fn value(column: &dyn Array, row: usize) -> (String, String) {
    let (letter, text) = match column.data_type() {
        DataType::Float64 => {
            ("d", format!("{:016x}", column.as_primitive::<Float64Type>().value(row).to_bits()))
        }
        DataType::Int64 => ("i", column.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Boolean => ("b", column.as_boolean().value(row).to_string()),
        DataType::Utf8 => ("s", column.as_string::<i32>().value(row).to_owned()),
        DataType::Timestamp(..) => {
            ("t", column.as_primitive::<TimestampMicrosecondType>().value(row).to_string())
        }
        DataType::Binary => ("x", iotlake_flatten::naming::hexadecimal(column.as_binary::<i32>().value(row))),
        other => panic!("no table has {other}"),
    };
    (letter.to_owned(), text)
}

#[test]
fn every_reader_sees_the_same_rows() {
    let lake = Lake::new();
    let contract = Contract::default().declare("at", Type::Timestamp).declare("any", Type::Json);
    lake.create_table("telemetry", contract);
    let first = r#"{"ts":1,"at":"2026-03-01T05:06:07.123456Z","device":{"deviceId":"d1"},"m":{"t":21.5,"n":-0.0}}
{"ts":2,"at":"1969-12-31T23:59:59.999999Z","m":{"t":1e300,"n":5e-324},"big":9007199254740993,"any":{"a":[1,null]}}
{}
{"ts":3,"m":{"t":"höher\n\"😀\u0000\u001b","n":0.1},"on":false,"list":[1.0,{"k":"v"},[]],"empty":""}
not json
"#;
    lake.ingest("telemetry", "s3://raw/2026/03/01/05/a", first.as_bytes());
    let later = r#"{"ts":4,"later":true,"a b":1,"year":1999,"Device":{"deviceId":"d2"}}
{"ts":-9223372036854775808,"later":"no","m":{"t":1e400}}
[1,2]
"#;
    lake.ingest("telemetry", "s3://raw/2026/12/31/23/b", later.as_bytes());
    lake.ingest("telemetry", "/data/undated", br#"{"only":{"here":1}}"#);
    let session = Session::open(&lake.whole()).unwrap();
    for (table, count) in [("telemetry", 7), ("telemetry_rejects", 3)] {
        let theirs = read_by_others(lake.root(), table);
        let sql = format!("SELECT * FROM {table} ORDER BY _source, _record");
        let ours = rows(&session.run(&sql).unwrap());
        assert_eq!(theirs.len(), count, "{table}");
        assert_eq!(ours, theirs, "{table}");
    }
}

#[test]
fn every_reader_sees_the_same_rows_of_dirty_sources() {
    let folder = tempfile::tempdir().unwrap();
    let lake = iotlake::lake::Lake::create_local(folder.path()).unwrap();
    let summary = support::run(&lake, &support::dirty_source(), &support::small_parts());
    let session = Session::open(&lake).unwrap();
    for (table, count) in [("events", summary.counts.rows), ("events_rejects", summary.counts.rejected)] {
        let theirs = read_by_others(folder.path(), table);
        let sql = format!("SELECT * FROM {table} ORDER BY _source, _record");
        let ours = rows(&session.run(&sql).unwrap());
        assert_eq!(theirs.len() as u64, count, "{table}");
        assert!(ours == theirs, "{table}");
    }
}

#[test]
fn every_reader_sees_the_same_rows_of_a_compacted_lake() {
    let folder = tempfile::tempdir().unwrap();
    let lake = iotlake::lake::Lake::create_local(folder.path()).unwrap();
    let summary = support::run(&lake, &support::dirty_source(), &support::small_parts());
    let sql = "SELECT * FROM events ORDER BY _source, _record";
    let all = |lake| rows(&Session::open(lake).unwrap().run(sql).unwrap());
    let before = all(&lake);
    let mut options = CompactOptions::new(std::env::temp_dir());
    options.grace = std::time::Duration::ZERO;
    let compactor = Compactor::new(&lake, &options);
    let partitions = lake.catalog.partitions(&TableName::rows("events")).unwrap();
    for partition in &partitions {
        compactor.partition("events", *partition).unwrap();
    }
    assert!(all(&lake) == before, "while what was superseded lies there");
    for partition in &partitions {
        compactor.sweep("events", *partition, std::time::SystemTime::now()).unwrap();
    }
    assert!(all(&lake) == before, "once it is gone");
    let theirs = read_by_others(folder.path(), "events");
    assert_eq!(theirs.len() as u64, summary.counts.rows);
    assert!(theirs == before, "by path");
    // A condition on all keys looks in one folder.
    let session = Session::open(&lake).unwrap();
    let mut found = 0;
    for partition in partitions {
        let [year, month, day, hour] = partition.values();
        let sql = format!(
            "SELECT * FROM events WHERE year = '{year}' AND month = '{month}' AND day = '{day}' AND hour = '{hour}'"
        );
        found += session.run(&sql).unwrap().rows();
    }
    assert_eq!(found, before.len());
    assert!(session.unread().is_empty(), "{:?}", session.unread());
}

/// A file of so many rows has page indexes. What they skip must be what nobody asked for.
#[test]
fn every_reader_skips_pages_and_misses_no_row() {
    let rows = 70_000;
    let lake = Lake::new();
    lake.create_table("telemetry", Contract::default());
    let mut text = String::new();
    for row in 0..rows {
        // Every seventh has no value, and one stretch has none at all.
        match row % 7 == 0 || (30_000..40_000).contains(&row) {
            true => text.push_str("{\"on\":true}\n"),
            false => writeln!(text, "{{\"ts\":{row},\"device\":\"d{}\"}}", row / 1000).unwrap(),
        }
    }
    let receipt = lake.ingest("telemetry", "s3://raw/2026/03/01/05/a", text.as_bytes());
    assert_eq!(receipt.outputs.len(), 1);
    let file = std::fs::File::open(lake.root().join(&receipt.outputs[0].key)).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let pages = reader.metadata().offset_index().unwrap()[0].iter().map(|index| index.page_locations().len());
    assert!(pages.min() > Some(1));

    let ranges = [(0, rows), (25_000, 45_000), (31_000, 39_000), (69_990, 80_000), (-5, 3)];
    let session = Session::open(&lake.whole()).unwrap();
    let ours = ranges.map(|(low, high)| {
        let between = (low..high)
            .filter(|row| (0..rows).contains(row) && row % 7 != 0 && !(30_000..40_000).contains(row));
        let (count, sum) = between.fold((0, 0), |(count, sum), row| (count + 1, sum + row));
        let sql = format!(
            "SELECT count(*) AS n, coalesce(sum(ts), 0) AS s FROM telemetry WHERE ts >= {low} AND ts < {high}"
        );
        let answer = session.run(&sql).unwrap();
        let columns = answer.batches[0].columns();
        let value = |at: usize| columns[at].as_primitive::<Int64Type>().value(0);
        assert_eq!((value(0), value(1)), (count, sum), "{low}..{high}");
        (count, sum)
    });
    let bounds: Vec<String> =
        ranges.iter().flat_map(|(low, high)| [low.to_string(), high.to_string()]).collect();
    let arguments: Vec<&str> =
        ["telemetry", "ts"].into_iter().chain(bounds.iter().map(String::as_str)).collect();
    let theirs = script("read_range.py", lake.root(), &arguments);
    let expected = ["duckdb", "polars", "pyarrow"]
        .map(|name| ours.map(|(count, sum)| format!("{name} {count} {sum}\n")).concat());
    assert_eq!(theirs, expected.concat());
}

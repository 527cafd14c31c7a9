//! What `iotlake query` sees in a table, in the form in which `read_glue.py` says what others see.

use std::fmt::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use iotlake::lake::Lake;
use iotlake::query::Session;
use iotlake_flatten::naming::hexadecimal;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The number of rows, and a digest for each column.
pub fn summary(lake: &Lake, table: &str) -> Value {
    let session = Session::open(lake).unwrap();
    let answer = session.run(&format!("SELECT * FROM {table} ORDER BY _source, _record")).unwrap();
    let rows: usize = answer.batches.iter().map(|batch| batch.num_rows()).sum();
    let mut columns = Map::new();
    let schema = answer.batches.first().expect("the table has rows").schema();
    for (index, field) in schema.fields().iter().enumerate() {
        let mut digest = Sha256::new();
        for batch in &answer.batches {
            let column = batch.column(index);
            for row in 0..batch.num_rows() {
                let text = text(column, row);
                digest.update(format!("{}:{text},", text.len()));
            }
        }
        columns.insert(field.name().clone(), json!(hexadecimal(&digest.finalize())));
    }
    json!({"rows": rows, "columns": columns})
}

fn text(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "-".to_owned();
    }
    let mut text = String::new();
    let written = match column.data_type() {
        DataType::Float64 => {
            write!(text, "d{:016x}", column.as_primitive::<Float64Type>().value(row).to_bits())
        }
        DataType::Int64 => write!(text, "i{}", column.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => write!(text, "b{}", column.as_boolean().value(row)),
        DataType::Utf8 => write!(text, "s{}", column.as_string::<i32>().value(row)),
        DataType::Timestamp(..) => {
            write!(text, "t{}", column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Binary => write!(text, "x{}", hexadecimal(column.as_binary::<i32>().value(row))),
        other => panic!("no table has {other}"),
    };
    written.expect("a String takes everything");
    text
}

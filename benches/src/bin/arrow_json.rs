//! arrow-json, as a program: NDJSON to flat Parquet by hour or into one file, for `make rivals`.
//!
//! Its decoder is given the types of all leaves; the structs it makes are flattened without copying a value. Messages of
//! one file come in order of time, so that a batch is cut where its hour changes, and each hour has a writer.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use arrow_json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Rows of a batch: faster than its default of 1,024.
const BATCH_ROWS: usize = 8192;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, out, mode, fields, codec] = &arguments[..] else {
        return Err("usage: arrow_json SOURCE OUT hours|one FIELDS snappy|zstd".into());
    };
    let leaves: Vec<(Vec<String>, String)> = serde_json::from_str(&fs::read_to_string(fields)?)?;
    let schema = Arc::new(Schema::new(nested(
        &leaves.iter().map(|(keys, kind)| (&keys[..], &**kind)).collect::<Vec<_>>(),
    )));
    let compression = match codec.as_str() {
        "zstd" => Compression::ZSTD(ZstdLevel::try_new(1)?),
        _ => Compression::SNAPPY,
    };
    let properties = WriterProperties::builder().set_compression(compression).build();
    let reader = ReaderBuilder::new(schema).with_batch_size(BATCH_ROWS);
    let mut writers: HashMap<Option<i64>, ArrowWriter<File>> = HashMap::new();
    for batch in reader.build(BufReader::with_capacity(1 << 20, File::open(source)?))? {
        let batch = flat(&batch?, &leaves)?;
        let mut begin = 0;
        while begin < batch.num_rows() {
            let (hour, end) = match mode.as_str() {
                "hours" => hour_from(&batch, begin),
                _ => (None, batch.num_rows()),
            };
            let writer = match writers.entry(hour) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let path = path_of(Path::new(out), hour);
                    fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
                    let file = File::create(path)?;
                    entry.insert(ArrowWriter::try_new(file, batch.schema(), Some(properties.clone()))?)
                }
            };
            writer.write(&batch.slice(begin, end - begin))?;
            begin = end;
        }
    }
    for writer in writers.into_values() {
        writer.close()?;
    }
    Ok(())
}

/// The hour since 1970 of the row at `begin`, and the first row behind it with another.
fn hour_from(batch: &RecordBatch, begin: usize) -> (Option<i64>, usize) {
    let times = batch.column_by_name("ts").expect("messages have a time").as_primitive::<Int64Type>();
    let hour = |row: usize| times.value(row).div_euclid(3_600_000);
    let end = (begin..batch.num_rows()).find(|row| hour(*row) != hour(begin));
    (Some(hour(begin)), end.unwrap_or(batch.num_rows()))
}

fn path_of(out: &Path, hour: Option<i64>) -> PathBuf {
    match hour {
        Some(hour) => out.join(format!("day={}/hour={:02}/rows.parquet", hour / 24, hour % 24)),
        None => out.to_owned(),
    }
}

fn nested(leaves: &[(&[String], &str)]) -> Fields {
    let mut fields: Vec<Field> = Vec::new();
    let mut at = 0;
    while at < leaves.len() {
        let key = &leaves[at].0[0];
        let same: Vec<_> = leaves.iter().filter(|(keys, _)| keys[0] == *key).collect();
        if !fields.iter().any(|field| field.name() == key) {
            let kind = match leaves[at].0.len() {
                1 => match leaves[at].1 {
                    "double" => DataType::Float64,
                    "bigint" => DataType::Int64,
                    "boolean" => DataType::Boolean,
                    _ => DataType::Utf8,
                },
                _ => DataType::Struct(nested(
                    &same.iter().map(|(keys, kind)| (&keys[1..], *kind)).collect::<Vec<_>>(),
                )),
            };
            fields.push(Field::new(key, kind, true));
        }
        at += 1;
    }
    fields.into()
}

fn flat(
    batch: &RecordBatch,
    leaves: &[(Vec<String>, String)],
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = leaves.iter().map(|(keys, _)| {
        let mut column: ArrayRef = batch.column_by_name(&keys[0]).expect("the schema has it").clone();
        for key in &keys[1..] {
            let object = column.as_struct();
            let below = object.column_by_name(key).expect("the schema has it");
            // A value below an object that is missing is null already.
            column = below.clone();
        }
        let name = keys.join(".").to_lowercase();
        (Field::new(name, column.data_type().clone(), true), column)
    });
    let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

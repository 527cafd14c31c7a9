//! Parquet bytes: readable, with the columns the table says, the same for any number of threads, and the same as the
//! last time ([`iotlake_flatten::LAYOUT`]).

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use iotlake_fixtures::{Dirt, Kit, SplitMix64};
use iotlake_flatten::{
    Bound, Cells, ColumnSummary, Compression, Contract, Encoder, LAYOUT, Limits, Options, Part, Schema,
    SettledPart, Type, Values,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use crate::support::{parts, schema};

const ENCODER: Encoder<'_> = Encoder {
    source: "s3://raw/a",
    options: "{}",
    receipt: None,
    compression: Compression::Snappy,
    parallel: false,
};

fn settle(part: Part, schema: &Schema) -> (SettledPart, Schema) {
    let fit = part.fit(schema, &Limits::default());
    let mut grown = schema.clone();
    fit.register.iter().for_each(|identity| drop(grown.register(identity).name.clone()));
    (part.settle(&fit), grown)
}

fn read(file: Vec<u8>) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    let reader = reader.with_batch_size(1 << 21).build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    batches.into_iter().next().unwrap()
}

#[test]
fn rows_come_back_with_lineage_and_nulls() {
    let contract = Contract::empty().declare("when", Type::Timestamp).declare("unused", Type::Double);
    let empty = schema(&contract);
    let text =
        b"{\"b\":1.5,\"s\":\"x\",\"when\":1772355600123}\nbroken\n{\"a\":9007199254740993,\"s\":\"y\"}\n{}\n";
    let part = parts(text, 9, &empty, Options::default()).remove(0);
    let (part, table) = settle(part, &empty);
    let batch = read(ENCODER.encode(&part, &table).unwrap().bytes);
    let fields = batch.schema();
    let names: Vec<&str> = fields.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["_source", "_record", "when", "a", "b", "s"]);
    let column = |name| batch.column_by_name(name).unwrap();
    assert!(column("_source").as_string::<i32>().iter().all(|source| source == Some("s3://raw/a")));
    let records: Vec<i64> = column("_record").as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(records, [1, 3, 4]);
    // A syntax error goes on to the next line that begins a record.
    assert_eq!(part.rejects.len(), 1);
    assert_eq!(column("b").as_primitive::<Float64Type>().value(0), 1.5);
    assert!(column("b").is_null(1));
    assert_eq!(column("a").as_primitive::<Int64Type>().value(1), 9007199254740993);
    assert_eq!(column("s").as_string::<i32>().value(1), "y");

    let rejects = read(ENCODER.encode_rejects(&part).unwrap().bytes);
    assert_eq!(rejects.column_by_name("reason").unwrap().as_string::<i32>().value(0), "syntax");
    assert_eq!(rejects.column_by_name("line").unwrap().as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(rejects.column_by_name("bytes").unwrap().as_binary::<i32>().value(0), b"broken\n");
}

#[test]
fn the_bytes_do_not_depend_on_threads_and_are_those_of_this_layout() {
    let kit = Kit { seed: 5, dirt: Dirt::spread(0.05).unwrap(), ..Kit::default() };
    let mut text = Vec::new();
    kit.write_ndjson(&mut text, 2_000_000).unwrap();
    let mut digests = String::new();
    for compression in [Compression::Snappy, Compression::Zstd] {
        let mut files: Vec<Vec<Vec<u8>>> = Vec::new();
        for threads in [1, 2, 8] {
            let empty = schema(&Contract::default());
            let part =
                parts(&text, 99_999, &empty, Options { threads, chunk_bytes: 50_000, ..Options::default() })
                    .remove(0);
            let (part, table) = settle(part, &empty);
            let encoder = Encoder { compression, parallel: threads > 1, ..ENCODER };
            let encoded = [encoder.encode(&part, &table).unwrap(), encoder.encode_rejects(&part).unwrap()];
            files.push(encoded.map(|file| file.bytes).to_vec());
        }
        assert!(files.windows(2).all(|pair| pair[0] == pair[1]));
        for file in &files[0] {
            use sha2::Digest;
            digests += &iotlake_flatten::naming::hexadecimal(&sha2::Sha256::digest(file));
            digests.push('\n');
        }
    }
    let golden = format!("{}/tests/golden/layout-{LAYOUT}.sha256", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &digests).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(digests, expected, "output bytes changed: raise LAYOUT, then run with UPDATE_GOLDEN=1");
}

/// The cells of a column of a batch, as they stand in a part.
fn cells(column: &dyn Array) -> Vec<(u32, String)> {
    let places = (0..column.len()).filter(|at| column.is_valid(*at));
    let text = |at: usize| match column.data_type() {
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(at)),
        DataType::Int64 => format!("{:?}", column.as_primitive::<Int64Type>().value(at)),
        DataType::Timestamp(..) => {
            format!("{:?}", column.as_primitive::<TimestampMicrosecondType>().value(at))
        }
        DataType::Boolean => format!("{:?}", column.as_boolean().value(at)),
        _ => column.as_string::<i32>().value(at).to_owned(),
    };
    places.map(|at| (at as u32, text(at))).collect()
}

fn cells_of_part(cells: &Cells) -> Vec<(u32, String)> {
    let text = |at: usize| match &cells.values {
        Values::Double(values) => format!("{:?}", values[at]),
        Values::Long(values) => format!("{:?}", values[at]),
        Values::Boolean(values) => format!("{:?}", values[at]),
        Values::Text(texts) => String::from_utf8(texts.get(at).to_vec()).unwrap(),
    };
    cells.rows.iter().enumerate().map(|(at, row)| (*row, text(at))).collect()
}

/// Every kind of value, and every way in which it can be written: packed and in runs, with a dictionary and without,
/// in one page and in many, with gaps of any length.
#[test]
fn what_is_written_is_what_the_part_holds() {
    let contract = Contract::empty().declare("when", Type::Timestamp).declare("count", Type::Bigint);
    let empty = schema(&contract);
    let mut random = SplitMix64::new(7);
    let mut text = String::new();
    for row in 0..150_000u64 {
        let noise = random.word();
        write!(text, "{{\"all\":{row},\"when\":{}", 1_772_355_600_000 + row * 10 + noise % 7).unwrap();
        let mut field = |is_there: bool, name: &str, value: std::fmt::Arguments<'_>| {
            if is_there {
                write!(text, ",\"{name}\":{value}").unwrap();
            }
        };
        field(noise.is_multiple_of(3), "count", format_args!("{}", noise as i64 >> (noise % 60)));
        field(row % 1000 < 700, "level", format_args!("{}", noise % 11));
        field(true, "noise", format_args!("{}.5", noise % 1_000_003));
        field(row > 149_990, "last", format_args!("-0.0"));
        field(noise.is_multiple_of(2), "is_on", format_args!("{}", noise.is_multiple_of(5)));
        field(true, "device", format_args!("\"device {}\"", noise % 3_000));
        field(row % 40_000 == 7, "long", format_args!("\"{}{row}\"", "ü".repeat(700_000)));
        field(!noise.is_multiple_of(4), "unique", format_args!("\"{noise:x}\""));
        field(true, "constant", format_args!("\"same\""));
        field(row / 5_000 % 2 == 0, "list", format_args!("[{},{}]", noise % 3, row / 9_999));
        text.push_str("}\n");
    }
    let part = parts(text.as_bytes(), 1 << 20, &empty, Options::default()).remove(0);
    let (part, table) = settle(part, &empty);
    assert_eq!((part.rows, part.rejects.len(), part.columns.len()), (150_000, 0, 12));
    for compression in [Compression::Snappy, Compression::Zstd] {
        let encoded = Encoder { compression, ..ENCODER }.encode(&part, &table).unwrap();
        let (file, summary) = (encoded.bytes, encoded.columns);
        let footer = SerializedFileReader::new(bytes::Bytes::from(file.clone())).unwrap();
        let group = footer.metadata().row_group(0).clone();
        assert_eq!(summary, ColumnSummary::of_footer(footer.metadata()), "what is said is what was written");
        let batch = read(file);
        assert_eq!(batch.num_columns(), 2 + part.columns.len());
        let told = |name: &str| summary.iter().find(|column| column.name == name).unwrap();
        let source = Bound::Bytes(ENCODER.source.into());
        assert_eq!(told("_source").bounds, Some((source.clone(), source)));
        assert_eq!(told("_record").bounds, Some((Bound::Long(1), Bound::Long(150_000))));
        assert_eq!(told("last").bounds, Some((Bound::Double(-0.0), Bound::Double(0.0))));
        assert_eq!((told("last").nulls, &told("long").bounds), (Some(149_991), &None));
        for column in &part.columns {
            let name = &table.columns()[table.place(&column.identity).unwrap()].name;
            let expected = cells_of_part(&column.cells);
            assert!(cells(batch.column_by_name(name).unwrap()) == expected, "{name}");
            let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == *name).unwrap();
            let statistics = chunk.statistics().unwrap();
            assert_eq!(statistics.null_count_opt(), Some(150_000 - expected.len() as u64), "{name}");
            match (statistics, &column.cells.values) {
                (Statistics::Double(found), Values::Double(values)) => {
                    let least = values.iter().copied().min_by(f64::total_cmp);
                    let most = values.iter().copied().max_by(f64::total_cmp);
                    // A zero stands for both.
                    let least = least.map(|least| if least == 0.0 { -0.0 } else { least });
                    let most = most.map(|most| if most == 0.0 { 0.0 } else { most });
                    assert_eq!(
                        found.min_opt().map(|value| value.to_bits()),
                        least.map(f64::to_bits),
                        "{name}"
                    );
                    assert_eq!(
                        found.max_opt().map(|value| value.to_bits()),
                        most.map(f64::to_bits),
                        "{name}"
                    );
                }
                (Statistics::Int64(found), Values::Long(values)) => {
                    assert_eq!(
                        (found.min_opt(), found.max_opt()),
                        (values.iter().min(), values.iter().max())
                    );
                }
                (Statistics::ByteArray(found), Values::Text(_)) if name == "long" => {
                    assert_eq!((found.min_opt(), found.max_opt()), (None, None));
                }
                (Statistics::ByteArray(found), Values::Text(_)) => {
                    let (least, most) = (
                        expected.iter().map(|(_, text)| text.as_bytes()).min(),
                        expected.iter().map(|(_, text)| text.as_bytes()).max(),
                    );
                    assert_eq!(found.min_opt().map(|bytes| bytes.data()), least, "{name}");
                    assert_eq!(found.max_opt().map(|bytes| bytes.data()), most, "{name}");
                }
                (Statistics::Boolean(found), Values::Boolean(_)) => {
                    assert_eq!((found.min_opt(), found.max_opt()), (Some(&false), Some(&true)));
                }
                _ => panic!("{name}: {statistics:?}"),
            }
            let has_dictionary = chunk.dictionary_page_offset().is_some();
            let repeats = ["level", "device", "constant", "list", "last"].contains(&name.as_str());
            assert_eq!(has_dictionary, repeats, "{name}");
        }
    }
}

#[test]
fn rows_of_a_part_are_in_a_file_as_they_are_in_the_file_of_all() {
    let kit = Kit { seed: 9, dirt: Dirt::spread(0.1).unwrap(), ..Kit::default() };
    let mut text = Vec::new();
    kit.write_ndjson(&mut text, 3_000_000).unwrap();
    let empty = schema(&Contract::default());
    let part = parts(&text, 1 << 20, &empty, Options::default()).remove(0);
    let (part, table) = settle(part, &empty);
    let whole = read(ENCODER.encode(&part, &table).unwrap().bytes);
    let rows = part.rows;
    let many = (0..rows / 8).map(|at| (8 * at, 8 * at + 1 + at % 7)).collect();
    let cases = [vec![(0, rows)], vec![(17, rows / 3)], vec![(0, 1), (5, rows / 2), (rows - 1, rows)], many];
    for case in cases {
        let stretches: Vec<_> = case.into_iter().map(|(begin, end)| begin..end).collect();
        let file = ENCODER.encode_rows(&part, &stretches, &table).unwrap().bytes;
        let found = read(file.clone());
        let places: UInt32Array = stretches.iter().cloned().flatten().collect();
        assert_eq!(found.num_rows(), places.len());
        for (field, column) in whole.schema().fields().iter().zip(whole.columns()) {
            let expected = take(column, &places, None).unwrap();
            match found.column_by_name(field.name()) {
                Some(column) => assert!(*column == expected, "{}", field.name()),
                None => assert_eq!(expected.null_count(), places.len(), "{}", field.name()),
            }
        }
        // However the rows are told, the bytes are the same.
        let halves: Vec<_> = stretches
            .iter()
            .flat_map(|rows| {
                let middle = rows.start + (rows.end - rows.start) / 2;
                [rows.start..middle, middle..rows.end]
            })
            .collect();
        assert!(ENCODER.encode_rows(&part, &halves, &table).unwrap().bytes == file);
    }
}

#[test]
fn a_part_that_was_settled_against_another_schema_is_refused() {
    let empty: Arc<Schema> = schema(&Contract::empty());
    let part = parts(b"{\"new\":1}", 9, &empty, Options::default()).remove(0);
    let fit = part.fit(&empty, &Limits::default());
    let part = part.settle(&fit);
    let error = ENCODER.encode(&part, &empty).unwrap_err();
    assert_eq!(error.to_string(), "column new (double) is not in the table");
}

#[test]
fn rows_tell_their_hours_and_those_of_an_hour_are_a_file() {
    let empty = schema(&Contract::default());
    let text = b"{\"ts\":1772355600000,\"a\":1}\n{\"ts\":1772359200000,\"b\":2}\n{\"a\":3}\n{\"ts\":1772355601000}\n";
    let part = parts(text, 64, &empty, Options::default()).remove(0);
    let hours = part.hours(&iotlake_flatten::Path::dotted("ts"), iotlake_flatten::time::Zoneless::NoTime);
    let told: Vec<Option<i8>> = hours.iter().map(|hour| hour.map(|hour| hour.hour)).collect();
    assert_eq!(told, [Some(9), Some(10), None, Some(9)]);
    let (part, table) = settle(part, &empty);
    let batch = read(ENCODER.encode_rows(&part, &[0..1, 3..4], &table).unwrap().bytes);
    let records = batch.column_by_name("_record").unwrap().as_primitive::<Int64Type>();
    assert_eq!(records.values().to_vec(), [1, 4]);
    let a = batch.column_by_name("a").unwrap().as_primitive::<Float64Type>();
    assert_eq!((a.value(0), a.is_null(1)), (1.0, true));
    assert!(batch.column_by_name("b").is_none());
}

//! Arrow record batches: the same rows, names and types as in the part's file, and buffers that were not copied.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type};
use iotlake_fixtures::{Dirt, Kit};
use iotlake_flatten::{
    Compression, Contract, Encoder, FileWriter, Limits, Options, Part, RecordBatchError, Schema, SettledPart,
    Type, Values,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{parts, schema};

const SOURCE: &str = "s3://raw/a";

/// The parts of `text`, settled, and the schema that has all of their columns.
fn settled(text: &[u8], contract: &Contract, limits: Limits) -> (Vec<SettledPart>, Schema) {
    let first = schema(contract);
    let mut grown = Schema::clone(&first);
    let mut settle = |part: Part| {
        let fit = part.fit(&grown, &limits);
        fit.register.iter().for_each(|identity| _ = grown.register(identity));
        part.settle(&fit)
    };
    let parts = parts(text, 1 << 16, &first, Options { limits, ..Options::default() });
    (parts.into_iter().map(&mut settle).collect(), grown)
}

fn batch(part: &SettledPart, schema: &Schema) -> RecordBatch {
    part.clone().into_record_batch(SOURCE, schema).unwrap()
}

/// What a reader finds in the file of these parts.
fn of_file(parts: &[SettledPart], schema: &Schema) -> RecordBatch {
    let encoder = Encoder {
        source: SOURCE,
        options: "{}",
        receipt: None,
        compression: Compression::Snappy,
        parallel: false,
    };
    let mut file = FileWriter::new(encoder, Vec::new(), schema, true).unwrap();
    parts.iter().for_each(|part| file.push(part).unwrap());
    let file = bytes::Bytes::from(file.finish().unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn batches_say_what_the_file_says() {
    let kit = Kit { seed: 7, dirt: Dirt::spread(0.1).unwrap(), ..Kit::default() };
    let mut text = Vec::new();
    kit.write_ndjson(&mut text, 400_000).unwrap();
    // Every kind, with gaps before, between and behind values; text of no bytes; a column without a value.
    text.extend_from_slice(
        b"{}\n{\"n\":9007199254740993,\"b\":true,\"s\":\"\",\"j\":[1],\"when\":1772355600123}\n{\"b\":false}\n{}\n",
    );
    let contract = Contract { part_bytes: 100_000, ..Contract::default() };
    let contract = contract.declare("when", Type::Timestamp).declare("never", Type::Boolean);
    // So few columns that some fields go to the overflow.
    for limits in [Limits::default(), Limits { columns: 12, ..Limits::default() }] {
        let (parts, schema) = settled(&text, &contract, limits);
        assert!(parts.len() > 3, "{}", parts.len());
        assert_eq!(parts.iter().any(|part| part.overflow().is_some()), limits.columns == 12);
        let batches: Vec<RecordBatch> = parts.iter().map(|part| batch(part, &schema)).collect();
        assert!(batches.iter().all(|batch| batch.schema() == schema.to_arrow()));
        let all = concat_batches(&schema.to_arrow(), &batches).unwrap();
        let file = of_file(&parts, &schema);
        assert_eq!(all.num_rows(), file.num_rows());
        for (field, column) in all.schema().fields().iter().zip(all.columns()) {
            let other = file.column_by_name(field.name()).unwrap();
            assert_eq!(column.as_ref(), other.as_ref(), "{}", field.name());
            let of_file = file.schema().field_with_name(field.name()).unwrap().clone();
            assert_eq!(
                (field.data_type(), field.is_nullable()),
                (of_file.data_type(), of_file.is_nullable())
            );
        }
        assert_eq!(all.num_columns(), file.num_columns());
    }
}

#[test]
fn numbers_of_full_columns_and_all_text_are_not_copied() {
    let text = b"{\"a\":1.5,\"l\":9007199254740993,\"s\":\"one\"}\n{\"a\":2,\"l\":9007199254740994}\n";
    let (parts, schema) = settled(text, &Contract::empty(), Limits::default());
    let part = parts.into_iter().next().unwrap();
    let places: Vec<*const u8> = part
        .columns
        .iter()
        .map(|column| match &column.cells.values {
            Values::Double(values) => values.as_ptr().cast(),
            Values::Long(values) => values.as_ptr().cast(),
            Values::Text(texts) => texts.bytes().as_ptr(),
            Values::Boolean(_) => unreachable!("there is none"),
        })
        .collect();
    let batch = part.into_record_batch(SOURCE, &schema).unwrap();
    assert_eq!(batch["a"].as_primitive::<Float64Type>().values().as_ptr().cast::<u8>(), places[0]);
    assert_eq!(batch["l"].as_primitive::<Int64Type>().values().as_ptr().cast::<u8>(), places[1]);
    let text = batch["s"].as_string::<i32>();
    assert_eq!((text.value(0), text.is_null(1)), ("one", true));
    assert_eq!(text.value_data().as_ptr(), places[2]);
}

#[test]
fn a_part_that_was_settled_against_another_schema_is_an_error() {
    let (parts, _) = settled(b"{\"a\":{\"b\":1}}", &Contract::empty(), Limits::default());
    let other = Schema::new(Contract::default());
    let error = parts[0].clone().into_record_batch(SOURCE, &other).unwrap_err();
    assert!(matches!(error, RecordBatchError::NotRegistered(_)));
    assert_eq!(error.to_string(), "column a.b (double) is not in the table");
}

#[test]
fn more_text_than_arrow_has_offsets_for_is_an_error_before_memory_is_asked_for() {
    let (parts, schema) = settled(b"{}\n{}\n{}\n", &Contract::empty(), Limits::default());
    let source = "x".repeat((i32::MAX / 3) as usize + 1);
    let error = parts[0].clone().into_record_batch(&source, &schema).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `_source`: 2147483649 bytes of text in one part; a record batch takes 2147483647"
    );
}
